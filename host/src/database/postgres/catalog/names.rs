//! Prints types and defaults as the login sees them: the names that users know, and that other sites are told.

use std::collections::HashMap;

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column};

/// Returns each column's type and default, by the column's number.
pub(super) async fn of_columns(
    session: &mut Session,
    relation: i64,
) -> Result<HashMap<i64, (String, Option<String>)>, DatabaseError> {
    let rows = session
        .rows_as_login(format!(
            "SELECT a.attnum::pg_catalog.int8 AS number, pg_catalog.format_type(a.atttypid, a.atttypmod) AS shown, \
               pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default_value \
             FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d \
               ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum \
             WHERE a.attrelid OPERATOR(pg_catalog.=) '{relation}'::pg_catalog.oid \
               AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped"
        ))
        .await?;
    let columns = rows.iter().map(|row| {
        let names = (column(row, "shown")?, column(row, "default_value")?);
        Ok((column(row, "number")?, names))
    });
    columns.collect()
}

/// Returns the names of types without modifiers, by their object identifiers.
pub(super) async fn of_types(
    session: &mut Session,
    types: &[i64],
) -> Result<HashMap<i64, String>, DatabaseError> {
    let numbers: Vec<String> = types.iter().map(i64::to_string).collect();
    let rows = session
        .rows_as_login(format!(
            "SELECT t.oid::pg_catalog.int8 AS number, pg_catalog.format_type(t.oid, NULL) AS shown \
             FROM pg_catalog.pg_type t \
             WHERE t.oid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])",
            numbers.join(",")
        ))
        .await?;
    let types = rows
        .iter()
        .map(|row| Ok((column(row, "number")?, column(row, "shown")?)));
    types.collect()
}
