//! What the fuzz targets in `fuzz/` reach of the private codecs. Built for them, and for the tests so that it keeps up.

pub use crate::database::postgres::fuzzing as postgres;
pub use crate::database::sqlite::fuzzing as sqlite;
