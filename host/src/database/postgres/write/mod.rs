//! Writes rows into a table, chunk by chunk; each chunk is one transaction.

mod apply;
mod chunk_rows;
mod conflicts;
mod copy_in;
mod create;
mod descendants;
mod direct_load;
mod execute;
mod key_order;
mod merge_sql;
mod plan;
mod precheck;
mod readback;
mod row_encoder;
mod staged_load;
mod staging;
pub(super) mod table_writer;
pub(super) mod transaction;
pub(super) mod whole_tables;
