//! Stores how far each run is with each of its tables, in `tombolo.ledger`.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::statement::Statement;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{
    Bookkeeping, ChunkCounts, DatabaseError, LedgerRow, RowFacts, TableWrite, Verification,
};

const TABLE: &str = "tombolo.ledger";

/// The columns of a [`LedgerRow`].
const COLUMNS: &str = "next_seq, created, updated, same, skipped, failed, last_key, digest, direct, unread, altered, \
                       changed, snapshot, snapshots, made, done, description";

/// Returns the row of a table of a run; none if the run never began the table.
pub(in crate::database::postgres) async fn find(
    session: &mut Session,
    run: &str,
    table: &str,
) -> Result<Option<LedgerRow>, DatabaseError> {
    let found = session.row(of(run, table).select(COLUMNS)?).await?;
    found.map(|row| read(&row)).transpose()
}

/// Returns how far a run is with some tables, by their names.
pub(in crate::database::postgres) async fn find_all(
    session: &mut Session,
    run: &str,
    tables: &[&str],
) -> Result<HashMap<String, LedgerRow>, DatabaseError> {
    let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
    let sql = format!(
        "SELECT table_name, {COLUMNS} FROM {TABLE} WHERE run = $1 AND table_name = ANY ($2)"
    );
    let found = session
        .rows(query(sql).bind(run.to_owned()).bind(tables))
        .await?;
    let rows = found
        .iter()
        .map(|row| Ok((column(row, "table_name")?, read(row)?)));
    rows.collect()
}

/// Enters tables that a run made and completed in one go. Fails with [`DatabaseError::Refused`] if one of them is there
/// already.
pub(in crate::database::postgres) async fn enter_complete(
    session: &mut Session,
    run: &str,
    tables: &[(&str, LedgerRow)],
) -> Result<(), DatabaseError> {
    fn each<T>(tables: &[(&str, LedgerRow)], value: impl Fn(&LedgerRow) -> T) -> Vec<T> {
        tables.iter().map(|(_, row)| value(row)).collect()
    }
    let names: Vec<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
    let digest = |row: &LedgerRow| {
        let digest = row.facts.digest.map(u128::to_be_bytes);
        digest.map_or_else(Vec::new, |digest| digest.to_vec())
    };
    let sql = format!(
        "INSERT INTO {TABLE} (run, table_name, next_seq, created, last_key, digest, snapshot, snapshots, description, \
           direct, made, done) \
         SELECT $1, t.name, t.seq, t.created, t.last_key, t.digest, t.snapshot, t.snapshots, t.description, false, true, true \
         FROM unnest($2::text[], $3::int8[], $4::int8[], $5::bytea[], $6::bytea[], $7::text[], $8::int4[], $9::text[]) \
           AS t (name, seq, created, last_key, digest, snapshot, snapshots, description)"
    );
    let insert = query(sql)
        .bind(run.to_owned())
        .bind(names)
        .bind(each(tables, |row| row.next_seq))
        .bind(each(tables, |row| number(row.counts.created)))
        .bind(each(tables, |row| row.last_key.clone()))
        .bind(each(tables, digest))
        .bind(each(tables, |row| row.snapshot.clone()))
        .bind(each(tables, |row| {
            i32::try_from(row.snapshots).unwrap_or(i32::MAX)
        }))
        .bind(each(tables, |row| row.retry_context.clone()));
    session.execute(insert).await.map(|_| ())
}

/// Opens the books of a table; its row is inserted where it is missing.
pub(in crate::database::postgres) async fn enter(
    session: &mut Session,
    write: &TableWrite,
) -> Result<Bookkeeping, DatabaseError> {
    let table = &write.incoming.table;
    let insert = Statement::on(TABLE)
        .set("run", write.run.clone())
        .set("table_name", table.clone())
        .set("digest", 0u128.to_be_bytes().to_vec())
        .set("made", write.create.is_some())
        .set("description", write.retry_context.clone());
    session
        .execute(insert.insert("ON CONFLICT DO NOTHING")?)
        .await?;
    match find(session, &write.run, table).await? {
        Some(row) => Ok(Bookkeeping::open(write, table, row)),
        None => Err(DatabaseError::LedgerTaken {
            table: table.clone(),
        }),
    }
}

/// Stores the row that a chunk makes of the committed one, in the chunk's transaction. Fails with
/// [`DatabaseError::LedgerTaken`] if another process advanced the run.
pub(in crate::database::postgres) async fn advance(
    session: &mut Session,
    books: &Bookkeeping,
    row: &LedgerRow,
) -> Result<(), DatabaseError> {
    let facts = &row.facts;
    let digest = facts.digest.map(u128::to_be_bytes);
    let update = committed(books)
        .set("next_seq", row.next_seq)
        .set("created", number(row.counts.created))
        .set("updated", number(row.counts.updated))
        .set("same", number(row.counts.same))
        .set("skipped", number(row.counts.skipped))
        .set("failed", number(row.counts.failed))
        .set("last_key", row.last_key.clone())
        .set(
            "digest",
            digest.map_or_else(Vec::new, |digest| digest.to_vec()),
        )
        .set("direct", facts.direct)
        .set("unread", facts.verification.unread)
        .set("altered", facts.verification.altered)
        .set("changed", serde_json::json!(facts.changed).to_string())
        .set("snapshot", row.snapshot.clone())
        .set(
            "snapshots",
            i32::try_from(row.snapshots).unwrap_or(i32::MAX),
        );
    let changed = session
        .execute(update.update("updated_at = pg_catalog.now()")?)
        .await?;
    books.check_advanced(changed)
}

/// Marks the table as complete. Fails with [`DatabaseError::LedgerTaken`] if another process advanced the run.
pub(in crate::database::postgres) async fn finish(
    session: &mut Session,
    books: &Bookkeeping,
) -> Result<(), DatabaseError> {
    let update = committed(books).set("done", true);
    let changed = session
        .execute(update.update("updated_at = pg_catalog.now()")?)
        .await?;
    books.check_advanced(changed)
}

/// Notes that a complete table was read and holds what went directly into it.
pub(in crate::database::postgres) async fn mark_read_back(
    session: &mut Session,
    run: &str,
    table: &str,
) -> Result<(), DatabaseError> {
    let update = of(run, table).matching("done", true).set("direct", false);
    session.execute(update.update("")?).await.map(|_| ())
}

/// Removes the row of a table that was dropped.
pub(in crate::database::postgres) async fn forget(
    session: &mut Session,
    books: &Bookkeeping,
) -> Result<(), DatabaseError> {
    let delete = committed(books).delete()?;
    books.check_advanced(session.execute(delete).await?)
}

fn of(run: &str, table: &str) -> Statement {
    Statement::on(TABLE)
        .matching("run", run.to_owned())
        .matching("table_name", table.to_owned())
}

/// Matches the row of a table under way, unless another process advanced it.
fn committed(books: &Bookkeeping) -> Statement {
    of(books.run(), books.table()).matching("next_seq", books.row().next_seq)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn read(row: &PgRow) -> Result<LedgerRow, DatabaseError> {
    let number = |name| -> Result<u64, DatabaseError> {
        let number: i64 = column(row, name)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let digest: Vec<u8> = column(row, "digest")?;
    let changed: String = column(row, "changed")?;
    let snapshots: i32 = column(row, "snapshots")?;
    Ok(LedgerRow {
        next_seq: column(row, "next_seq")?,
        counts: ChunkCounts {
            created: number("created")?,
            updated: number("updated")?,
            same: number("same")?,
            skipped: number("skipped")?,
            failed: number("failed")?,
        },
        last_key: column(row, "last_key")?,
        facts: RowFacts {
            digest: digest.try_into().ok().map(u128::from_be_bytes),
            direct: column(row, "direct")?,
            verification: Verification {
                unread: column(row, "unread")?,
                altered: column(row, "altered")?,
            },
            changed: serde_json::from_str(&changed).unwrap_or_default(),
        },
        snapshot: column(row, "snapshot")?,
        snapshots: u32::try_from(snapshots).unwrap_or_default(),
        made: column(row, "made")?,
        done: column(row, "done")?,
        retry_context: column(row, "description")?,
    })
}
