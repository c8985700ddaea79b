//! Rows on their way into a table.

pub mod apply;
pub mod deferred_fks;
pub mod foreign_keys;
pub mod merge_sql;
pub mod staging;
pub mod table_writer;
