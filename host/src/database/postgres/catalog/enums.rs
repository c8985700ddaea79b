//! Describes the enums of a table's columns, and creates those that a new table needs.

use std::collections::HashMap;

use super::names;
use crate::bindings::types::EnumType;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::tables;
use crate::database::{CheckedStatement, DatabaseError};

/// The most enums of one table that a schema carries.
const MAX_ENUMS: usize = 100;

/// The most labels of all of them.
const MAX_LABELS: usize = 2_000;

/// The longest label, in bytes (`NAMEDATALEN - 1`).
const MAX_LABEL_BYTES: usize = 63;

/// An expression for the labels of an enum, in order.
const LABELS: &str = "ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder)";

/// Returns whether columns of these types may be enums.
pub(super) fn may_be_among(types: &[ColumnType]) -> bool {
    types
        .iter()
        .any(|kind| kind.physical == PhysicalType::ByText)
}

/// Returns the enums that the columns of some tables have, or have arrays of, by the table's object identifier and sorted
/// by name. Leaves out those of a table beyond [`MAX_ENUMS`] and [`MAX_LABELS`].
pub(super) async fn of_tables(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, Vec<EnumType>>, DatabaseError> {
    if relations.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = session
        .rows(
            query(format!(
                "SELECT DISTINCT a.attrelid::int8 AS relation, t.oid::int8 AS oid, {LABELS} AS labels \
                 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type c ON c.oid = a.atttypid \
                 JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN c.typcategory = 'A' THEN c.typelem ELSE c.oid END \
                 WHERE a.attrelid = ANY ($1::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'e'"
            ))
            .bind(relations.to_vec()),
        )
        .await?;
    let oids = rows
        .iter()
        .map(|row| column(row, "oid"))
        .collect::<Result<Vec<i64>, _>>()?;
    let names = names::of_types(session, &oids).await?;
    let mut enums: HashMap<i64, Vec<EnumType>> = HashMap::new();
    for (row, oid) in rows.iter().zip(&oids) {
        let of_table = enums.entry(column(row, "relation")?).or_default();
        of_table.push(EnumType {
            name: names.get(oid).cloned().unwrap_or_default(),
            labels: column(row, "labels")?,
        });
    }
    enums.values_mut().for_each(limit);
    Ok(enums)
}

fn limit(enums: &mut Vec<EnumType>) {
    enums.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    enums.truncate(MAX_ENUMS);
    let mut left = MAX_LABELS;
    enums.retain(|kind| {
        let short = kind
            .labels
            .iter()
            .all(|label| label.len() <= MAX_LABEL_BYTES);
        let fits = short && kind.labels.len() <= left;
        left -= if fits { kind.labels.len() } else { 0 };
        fits
    });
}

/// Runs statements that were checked. By the extended protocol, no text can hold a second one.
pub(in crate::database::postgres) async fn run_checked(
    session: &mut Session,
    statements: &[&CheckedStatement],
) -> Result<(), DatabaseError> {
    // What they create goes where the login's tables are, and their types are those that the login sees.
    session.open_path().await?;
    for statement in statements {
        session.execute(query(statement.sql())).await?;
    }
    session.pin_path().await
}

/// Creates an enum in the current schema, inside of a transaction, unless it exists. Tables that need the same one may
/// be created at the same time. Fails with [`DatabaseError::TypeTaken`] if another type has its name.
pub(in crate::database::postgres) async fn create(
    session: &mut Session,
    statement: &CheckedStatement,
    wanted: &EnumType,
    table: &str,
) -> Result<(), DatabaseError> {
    tables::lock(session).await?;
    let home = session.home().map(str::to_owned);
    let found = session
        .row(
            query(format!(
                "SELECT t.typtype = 'e' AS is_enum, {LABELS} AS labels FROM pg_catalog.pg_type t \
                 JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
                 WHERE n.nspname = $1 AND t.typname = $2"
            ))
            .bind(home)
            .bind(wanted.name.clone()),
        )
        .await?;
    let Some(found) = found else {
        return run_checked(session, &[statement]).await;
    };
    let (is_enum, labels): (bool, Vec<String>) =
        (column(&found, "is_enum")?, column(&found, "labels")?);
    if is_enum && labels == wanted.labels {
        return Ok(());
    }
    Err(DatabaseError::TypeTaken {
        table: table.to_owned(),
        name: wanted.name.clone(),
    })
}
