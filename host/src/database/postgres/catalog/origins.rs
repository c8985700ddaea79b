//! Stores where the columns of tables that a run created come from, in `tombolo.columns`.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::Description;
use crate::bindings::types::{Column, Conversion};
use crate::database::postgres::codec::types::ColumnType;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, Origin, TableWrite};

const TABLE: &str = "tombolo.columns";

/// Stores the origins of the columns of new tables, where they are not simply the types that they have now, and which of
/// them hold every value of their source. Returns whether there are any.
pub(in crate::database::postgres) async fn store(
    session: &mut Session,
    tables: &[(&Description, &TableWrite)],
) -> Result<bool, DatabaseError> {
    let mut of_tables = Stored::default();
    let mut stored = Stored::default();
    for (created, write) in tables {
        of_tables.add(created, "", "", "", false);
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
            stored.add(created, &wanted.name, &wanted.origin, &kind.shown, widened);
        }
    }
    let delete = format!(
        "DELETE FROM {TABLE} WHERE (table_schema, table_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
    );
    let delete = query(delete).bind(of_tables.schemas).bind(of_tables.tables);
    session.execute(delete).await?;
    if stored.columns.is_empty() {
        return Ok(false);
    }
    let insert = format!(
        "INSERT INTO {TABLE} (table_schema, table_name, column_name, origin, stored_as, widened) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[])"
    );
    let insert = query(insert)
        .bind(stored.schemas)
        .bind(stored.tables)
        .bind(stored.columns)
        .bind(stored.origins)
        .bind(stored.types)
        .bind(stored.widened);
    session.execute(insert).await?;
    Ok(true)
}

/// Rows of the table, column by column.
#[derive(Default)]
struct Stored {
    schemas: Vec<String>,
    tables: Vec<String>,
    columns: Vec<String>,
    origins: Vec<String>,
    types: Vec<String>,
    widened: Vec<bool>,
}

impl Stored {
    fn add(&mut self, table: &Description, column: &str, origin: &str, kind: &str, widened: bool) {
        self.schemas.push(table.relation.schema.clone());
        self.tables.push(table.relation.table.clone());
        self.columns.push(column.to_owned());
        self.origins.push(origin.to_owned());
        self.types.push(kind.to_owned());
        self.widened.push(widened);
    }
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
