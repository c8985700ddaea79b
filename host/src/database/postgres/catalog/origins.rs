//! Where the columns of tables that were made here come from.

use super::{Description, OWN_SCHEMA, Relation};
use crate::bindings::types::{Column, Conversion};
use crate::database::postgres::codec::types::ColumnType;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, TableLoad};

/// Keeps the origins of a new table's columns, where they are not simply the types they now have, and which of them hold
/// every value of their source.
pub(in crate::database::postgres) async fn keep(
    session: &mut Session,
    made: &Description,
    load: &TableLoad,
) -> Result<(), DatabaseError> {
    let relation = &made.relation;
    session
        .execute(
            query("DELETE FROM tombolo.columns WHERE table_schema = $1 AND table_name = $2")
                .bind(relation.schema.clone())
                .bind(relation.table.clone()),
        )
        .await?;
    for wanted in &load.incoming.columns {
        let Some((_, kind)) = made.column(&wanted.name) else {
            continue;
        };
        if wanted.origin == kind.origin() {
            continue;
        }
        let widened = load.conversion_of(&wanted.name) == Conversion::Widen
            && wanted.origin.starts_with("sqlite:")
            && kind.can_be_wide();
        session
            .execute(
                query("INSERT INTO tombolo.columns VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(relation.schema.clone())
                    .bind(relation.table.clone())
                    .bind(wanted.name.clone())
                    .bind(wanted.origin.clone())
                    .bind(kind.declared.clone())
                    .bind(widened),
            )
            .await?;
    }
    Ok(())
}

/// Gives columns the origins that were kept for them.
pub(in crate::database::postgres) async fn apply(
    session: &mut Session,
    relation: &Relation,
    columns: &mut [Column],
    types: &mut [ColumnType],
) -> Result<(), DatabaseError> {
    if !are_kept(session).await? {
        return Ok(());
    }
    let rows = session
        .rows(
            query(
                "SELECT column_name, origin, stored_as, widened FROM tombolo.columns \
                 WHERE table_schema = $1 AND table_name = $2",
            )
            .bind(relation.schema.clone())
            .bind(relation.table.clone()),
        )
        .await?;
    for row in &rows {
        let name: String = column(row, 0)?;
        let stored_as: String = column(row, 2)?;
        for (described, kind) in columns.iter_mut().zip(types.iter_mut()) {
            // A column whose type somebody changed is what it is now.
            if described.name == name && kind.declared == stored_as {
                described.origin = column(row, 1)?;
                if column(row, 3)? && kind.can_be_wide() {
                    kind.widen(&described.origin);
                    described.logical = kind.logical.clone();
                }
            }
        }
    }
    Ok(())
}

/// Whether the table of origins is here and may be read. Asked of the catalog: an error would end a snapshot.
async fn are_kept(session: &mut Session) -> Result<bool, DatabaseError> {
    let row = session
        .row(
            query(
                "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname = 'columns' AND c.relkind = 'r' \
                 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
                 AND pg_catalog.has_table_privilege(c.oid, 'SELECT')",
            )
            .bind(OWN_SCHEMA),
        )
        .await?;
    Ok(row.is_some())
}
