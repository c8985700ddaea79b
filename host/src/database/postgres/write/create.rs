//! Creates a table where the run does, and enters it in the ledger.

use crate::database::postgres::catalog::{self, Description, Relation, enums, origins};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::ledger;
use crate::database::postgres::meta::trust::is_trusted;
use crate::database::{Bookkeeping, CheckedStatement, DatabaseError, TableWrite};

/// Creates a table where the run does, and its row in the ledger, or finds both; the caller has a transaction.
///
/// Fails with [`DatabaseError::Unsuitable`] if the table has a rewrite rule.
pub(super) async fn enter(
    session: &mut Session,
    place: &str,
    write: &TableWrite,
) -> Result<(Description, Bookkeeping), DatabaseError> {
    let name = &write.incoming.table;
    let found = ledger::find(session, &write.run, name).await?;
    if found.is_none()
        && let Some(statements) = &write.create
    {
        refuse_system_names(write)?;
        let statements: Vec<&CheckedStatement> = statements.iter().collect();
        run_all(session, name, &statements).await?;
        let created = catalog::describe(session, place, name, true).await?;
        refuse_foreign_types(session, &created).await?;
        origins::store(session, &[(&created, write)]).await?;
    }
    let local = catalog::describe(session, place, name, true).await?;
    refuse_rules(session, &local).await?;
    let books = ledger::enter(session, write).await?;
    Ok((local, books))
}

/// The columns that every table of PostgreSQL has (`heap.c`).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

fn refuse_system_names(write: &TableWrite) -> Result<(), DatabaseError> {
    let columns = &write.incoming.columns;
    let taken = columns
        .iter()
        .find(|column| SYSTEM_COLUMNS.contains(&column.name.as_str()));
    match taken {
        None => Ok(()),
        Some(column) => Err(DatabaseError::Unsuitable {
            table: write.incoming.table.clone(),
            reason: format!(
                "PostgreSQL keeps the column name {:?} for itself; rename the column at the source",
                column.name
            ),
        }),
    }
}

/// Runs statements of tables; an enum that exists is not created again. Errors about enums name this table.
pub(super) async fn run_all(
    session: &mut Session,
    table: &str,
    statements: &[&CheckedStatement],
) -> Result<(), DatabaseError> {
    let create_no_enum = |one: &&CheckedStatement, other: &&CheckedStatement| {
        one.enum_type().is_none() && other.enum_type().is_none()
    };
    for group in statements.chunk_by(create_no_enum) {
        match group {
            [one] if let Some(wanted) = one.enum_type() => {
                enums::create(session, one, wanted, table).await?;
            }
            group => enums::run_checked(session, group).await?,
        }
    }
    Ok(())
}

/// Drops a table that the run made and that has no row, and its row in the ledger; the caller has a transaction. A table with
/// rows stays.
pub(super) async fn discard(
    session: &mut Session,
    table: &Relation,
    books: &Bookkeeping,
) -> Result<(), DatabaseError> {
    let name = table.name();
    session
        .run(format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
        .await?;
    let any = session
        .row(query(format!("SELECT 1 AS one FROM {name} LIMIT 1")))
        .await?;
    if any.is_some() {
        return Ok(());
    }
    session.run(format!("DROP TABLE {name}")).await?;
    ledger::forget(session, books).await
}

/// A rewrite rule replaces statements, so that rows would go elsewhere and counts would be wrong.
async fn refuse_rules(session: &mut Session, local: &Description) -> Result<(), DatabaseError> {
    let row = session
        .row(
            query(
                "SELECT rulename::text FROM pg_catalog.pg_rewrite \
                 WHERE ev_class = $1::int8::oid AND rulename <> '_RETURN' AND ev_enabled <> 'D' \
                 ORDER BY rulename LIMIT 1",
            )
            .bind(local.relation.oid),
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let rule: String = column(&row, "rulename")?;
    Err(DatabaseError::Unsuitable {
        table: local.relation.table.clone(),
        reason: format!(
            "its rewrite rule {rule:?} would redirect rows; drop or disable the rule first"
        ),
    })
}

/// A type of another login may have made its way into a new table since the plan: storing values would run its checks
/// and casts.
pub(super) async fn refuse_foreign_types(
    session: &mut Session,
    created: &Description,
) -> Result<(), DatabaseError> {
    let trusted = is_trusted("t.typowner");
    let row = session
        .row(
            query(format!(
                "SELECT pg_catalog.format_type(t.oid, NULL) AS name FROM pg_catalog.pg_attribute a \
                 JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT {trusted} LIMIT 1"
            ))
            .bind(created.relation.oid),
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let name: String = column(&row, "name")?;
    Err(DatabaseError::TypeTaken {
        table: created.relation.table.clone(),
        name,
    })
}
