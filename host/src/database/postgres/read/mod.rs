//! Reads the rows of a table with `COPY … TO STDOUT`.

pub(super) mod copy_out;
pub(super) mod query;
