//! Converts between canonical cells and PostgreSQL's binary values and rows.

pub(super) mod copy_stream;
pub(super) mod decode;
#[cfg(test)]
mod documented;
pub(super) mod encode;
pub(super) mod fitting;
pub(super) mod local_cells;
pub(super) mod lossy;
pub(super) mod numeric;
pub(super) mod parse;
pub(super) mod types;
pub(super) mod value;
pub(super) mod wide_text;
