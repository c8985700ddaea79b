//! Stores where the columns of tables that a run created come from, in `tombolo.columns`.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::{Description, Relation};
use crate::bindings::types::{Column, Conversion};
use crate::database::postgres::codec::types::ColumnType;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::statement::Statement;
use crate::database::{DatabaseError, Origin, TableWrite};

const TABLE: &str = "tombolo.columns";

/// Stores the origins of a new table's columns, where they are not simply the types that they have now, and which of
/// them hold every value of their source.
pub(in crate::database::postgres) async fn store(
    session: &mut Session,
    created: &Description,
    write: &TableWrite,
) -> Result<(), DatabaseError> {
    let Relation { schema, table, .. } = &created.relation;
    let of_table = Statement::on(TABLE)
        .matching("table_schema", schema.clone())
        .matching("table_name", table.clone());
    session.execute(of_table.delete()?).await?;
    for wanted in &write.incoming.columns {
        let Some((_, kind)) = created.column(&wanted.name) else {
            continue;
        };
        let origin = Origin::parse(&wanted.origin);
        if origin == kind.origin() {
            continue;
        }
        let widened = write.conversion_of(&wanted.name) == Conversion::Widen
            && origin.is_sqlite()
            && kind.can_be_wide();
        let row = Statement::on(TABLE)
            .set("table_schema", schema.clone())
            .set("table_name", table.clone())
            .set("column_name", wanted.name.clone())
            .set("origin", wanted.origin.clone())
            .set("stored_as", kind.shown.clone())
            .set("widened", widened);
        session.execute(row.insert("")?).await?;
    }
    Ok(())
}

/// Gives the columns of tables the origins that are stored for them.
pub(super) async fn apply(
    session: &mut Session,
    tables: &mut [Description],
) -> Result<(), DatabaseError> {
    let (schemas, names): (Vec<String>, Vec<String>) = tables
        .iter()
        .map(|table| (table.relation.schema.clone(), table.relation.table.clone()))
        .unzip();
    let sql = format!(
        "SELECT table_schema, table_name, column_name, origin, stored_as, widened FROM {TABLE} \
         WHERE table_schema = ANY ($1) AND table_name = ANY ($2)"
    );
    let rows = session.rows(query(sql).bind(schemas).bind(names)).await?;
    let mut stored: HashMap<(String, String), Vec<&PgRow>> = HashMap::new();
    for row in &rows {
        let table = (column(row, "table_schema")?, column(row, "table_name")?);
        stored.entry(table).or_default().push(row);
    }
    for table in tables {
        let name = (table.relation.schema.clone(), table.relation.table.clone());
        let rows = stored.remove(&name).unwrap_or_default();
        apply_to(&mut table.schema.columns, &mut table.types, &rows)?;
    }
    Ok(())
}

fn apply_to(
    columns: &mut [Column],
    types: &mut [ColumnType],
    rows: &[&PgRow],
) -> Result<(), DatabaseError> {
    for row in rows {
        let name: String = column(row, "column_name")?;
        let stored_as: String = column(row, "stored_as")?;
        for (described, kind) in columns.iter_mut().zip(types.iter_mut()) {
            // A column whose type was changed since is what it is now.
            if described.name == name && kind.shown == stored_as {
                described.origin = column(row, "origin")?;
                if column(row, "widened")? && kind.can_be_wide() {
                    kind.widen(&described.origin);
                    described.logical = kind.logical.clone();
                }
            }
        }
    }
    Ok(())
}
