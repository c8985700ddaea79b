//! Prints types and defaults as the login sees them: the names that users know, and that other sites are told.

use std::collections::HashMap;

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column};

/// Returns the type and the default of each column of some tables, by the table's object identifier and the column's
/// number.
pub(super) async fn of_columns(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<(i64, i64), (String, Option<String>)>, DatabaseError> {
    let rows = session
        .rows_as_login(format!(
            "SELECT a.attrelid::pg_catalog.int8 AS relation, a.attnum::pg_catalog.int8 AS number, pg_catalog.format_type(a.atttypid, a.atttypmod) AS shown, \
               pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default_value \
             FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d \
               ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum \
             WHERE a.attrelid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[]) \
               AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
            listed(relations)
        ))
        .await?;
    let columns = rows.iter().map(|row| {
        let names = (column(row, "shown")?, column(row, "default_value")?);
        let place = (column(row, "relation")?, column(row, "number")?);
        Ok((place, names))
    });
    columns.collect()
}

/// Returns the names of types without modifiers, by their object identifiers.
pub(super) async fn of_types(
    session: &mut Session,
    types: &[i64],
) -> Result<HashMap<i64, String>, DatabaseError> {
    let rows = session
        .rows_as_login(format!(
            "SELECT t.oid::pg_catalog.int8 AS number, pg_catalog.format_type(t.oid, NULL) AS shown \
             FROM pg_catalog.pg_type t \
             WHERE t.oid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])",
            listed(types)
        ))
        .await?;
    let types = rows
        .iter()
        .map(|row| Ok((column(row, "number")?, column(row, "shown")?)));
    types.collect()
}

fn listed(identifiers: &[i64]) -> String {
    let numbers: Vec<String> = identifiers.iter().map(i64::to_string).collect();
    numbers.join(",")
}
