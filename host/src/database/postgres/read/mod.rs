//! Reading the rows of a table with `COPY … TO STDOUT`.

pub(super) mod query;
