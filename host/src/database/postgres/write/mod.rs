//! Writing rows into a table, chunk by chunk.

pub(super) mod apply;
pub(super) mod chunk_rows;
pub(super) mod conflicts;
pub(super) mod copy_in;
pub(super) mod execute;
pub(super) mod key_order;
pub(super) mod merge_sql;
pub(super) mod plan;
pub(super) mod precheck;
pub(super) mod readback;
pub(super) mod row_encoder;
pub(super) mod staging;
pub(super) mod table_writer;
