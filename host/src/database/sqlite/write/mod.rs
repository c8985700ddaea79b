//! Writes rows into a table.

pub mod apply;
pub mod chunk;
pub mod deferred_fks;
pub mod descendants;
pub mod foreign_keys;
pub mod merge_sql;
pub mod moved_values;
pub mod moves;
pub mod staging;
pub mod stored_rows;
pub mod table_plan;
pub mod table_state;
pub mod table_writer;
pub mod whole_tables;
