//! Taking rows in.

use std::sync::Arc;

use async_trait::async_trait;

use super::catalog::constraints;
use super::catalog::enums;
use super::catalog::origins;
use super::catalog::sequences;
use super::catalog::{self, Description};
use super::connection::{Server, Session, column, query};
use super::error;
use super::meta::ledger::{self, Ledger};
use super::meta::tables;
use super::write::copy_in::Copying;
use super::write::merge_sql::Merge;
use super::write::readback::ReadingBack;
use super::write::staging::{EXISTING, STAGING};
use super::write::table_writer::Loading;
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, Decision, LedgerEntry, Loaded, OldTarget,
    StagedConflict, TableLoad,
};
use crate::rows::RowBlock;

/// The staging drives every join, by the target's key: a hash or merge join would scan the whole target. To know how many
/// rows are staged, the planner needs only a small sample of them.
const CHUNK_SETTINGS: &str = "\
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL default_statistics_target = 10";

/// A connection that writes.
pub(super) struct PostgresTarget {
    server: Arc<Server>,
    /// None while a COPY has it.
    session: Option<Session>,
    copying: Option<Copying>,
    loading: Option<Loading>,
    /// Follows rows that go directly into their table.
    reading_back: Option<ReadingBack>,
    /// Whether a transaction is open.
    in_chunk: bool,
}

impl PostgresTarget {
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let session = server.connect().await?;
        Ok(Self {
            server,
            session: Some(session),
            copying: None,
            loading: None,
            reading_back: None,
            in_chunk: false,
        })
    }

    async fn describe(&mut self, table: &str) -> Result<Description, DatabaseError> {
        catalog::describe(free(&mut self.session)?, self.server.place(), table).await
    }

    /// Ends the COPY under way, so that its rows are there.
    async fn end_copy(&mut self) -> Result<(), DatabaseError> {
        let Some(copying) = self.copying.take() else {
            return Ok(());
        };
        let (session, outcome) = copying.finish().await;
        self.session = session;
        let loading = self.loading.as_ref().ok_or_else(no_table)?;
        match outcome {
            Ok(_) => Ok(()),
            // Rows that broke a constraint or a type: a staging tells which.
            Err(DatabaseError::Refused(_)) if loading.is_direct() => Err(loading.needs_staging()),
            Err(error) => Err(error),
        }
    }

    /// Ends the transaction that `result` came from.
    async fn end_transaction<T>(
        &mut self,
        result: Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        match result {
            Ok(value) => free(&mut self.session)?.run("COMMIT").await.map(|_| value),
            Err(error) => {
                // What went wrong first is what counts.
                let _ = free(&mut self.session)?.run("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Makes the table, where this run does, and its ledger row, or finds both.
    async fn enter(&mut self, load: &TableLoad) -> Result<(Description, Ledger), DatabaseError> {
        let name = &load.incoming.table;
        let entry = ledger::entry(free(&mut self.session)?, &load.run, name).await?;
        if entry.is_none()
            && let Some(statements) = &load.create
        {
            self.run_all(name, statements).await?;
            let made = self.describe(name).await?;
            origins::keep(free(&mut self.session)?, &made, load).await?;
        }
        let local = self.describe(name).await?;
        self.refuse_rules(&local).await?;
        let ledger = Ledger::enter(free(&mut self.session)?, load, name).await?;
        Ok((local, ledger))
    }

    async fn run_all(
        &mut self,
        table: &str,
        statements: &[CheckedStatement],
    ) -> Result<(), DatabaseError> {
        for statement in statements {
            let session = free(&mut self.session)?;
            match statement.enum_type() {
                Some(wanted) => enums::create(session, statement, wanted, table).await?,
                None => session.run(statement.sql()).await.map(|_| ())?,
            }
        }
        Ok(())
    }

    async fn finish(
        &mut self,
        loading: &Loading,
        after: &[CheckedStatement],
    ) -> Result<(), DatabaseError> {
        self.run_all(&loading.local().relation.table, after).await?;
        sequences::move_ahead(free(&mut self.session)?, loading.local()).await?;
        loading.ledger().finish(free(&mut self.session)?).await
    }

    /// Rewrite rules make other statements of ours, so that rows would go elsewhere and counts would lie.
    async fn refuse_rules(&mut self, local: &Description) -> Result<(), DatabaseError> {
        let row = free(&mut self.session)?.row(
                query(
                    "SELECT rulename::text FROM pg_catalog.pg_rewrite \
                     WHERE ev_class = $1::int8::oid AND rulename <> '_RETURN' AND ev_enabled <> 'D' \
                     ORDER BY rulename LIMIT 1",
                )
                .bind(local.relation.oid),
            )
            .await?;
        let Some(row) = row else { return Ok(()) };
        let rule: String = column(&row, 0)?;
        Err(DatabaseError::Unsuitable {
            table: local.relation.table.clone(),
            reason: format!(
                "its rewrite rule {rule:?} would redirect rows; drop or disable the rule first"
            ),
        })
    }
}

/// The connection between two COPYs.
fn free(session: &mut Option<Session>) -> Result<&mut Session, DatabaseError> {
    session.as_mut().ok_or_else(|| {
        DatabaseError::Busy(error::plain(
            "the connection was lost; what was committed is complete".to_owned(),
        ))
    })
}

fn no_table() -> DatabaseError {
    DatabaseError::Refused(error::plain("no table was begun".to_owned()))
}

fn chunk_open() -> DatabaseError {
    DatabaseError::Refused(error::plain(
        "a chunk is under way; commit it or give it up first".to_owned(),
    ))
}

#[async_trait]
impl OldTarget for PostgresTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        let prepared = tables::prepare(free(&mut self.session)?).await;
        if prepared.is_err() {
            let _ = free(&mut self.session)?.run("ROLLBACK").await;
        }
        prepared
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        ledger::entry(free(&mut self.session)?, run, table).await
    }

    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError> {
        if self.in_chunk {
            return Err(chunk_open());
        }
        self.loading = None;
        self.reading_back = None;
        free(&mut self.session)?.run("BEGIN").await?;
        let entered = self.enter(&load).await;
        let (local, ledger) = self.end_transaction(entered).await?;
        let constraints = constraints::find(free(&mut self.session)?, &local).await?;
        if load.plan.regenerates_key() {
            sequences::move_ahead(free(&mut self.session)?, &local).await?;
        }
        let loading = Loading::new(load, local, constraints, ledger)?;
        if !loading.is_direct() {
            let staging = loading.merge().create_staging();
            free(&mut self.session)?.run(staging).await?;
            if loading.merge().sets_apart() {
                let existing = Merge::create_existing();
                free(&mut self.session)?.run(existing).await?;
            }
        }
        self.loading = Some(loading);
        Ok(())
    }

    fn read_from(&mut self, snapshot: &str) {
        if let Some(loading) = &mut self.loading {
            loading.read_from(snapshot);
        }
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError> {
        let loading = self.loading.as_mut().ok_or_else(no_table)?;
        let encoded = loading.encode(block)?;
        if !self.in_chunk {
            let level = loading.isolation();
            let begin = format!("BEGIN ISOLATION LEVEL {level} READ WRITE; {CHUNK_SETTINGS}");
            free(&mut self.session)?.run(begin).await?;
            self.in_chunk = true;
        }
        let copying = match &self.copying {
            Some(copying) => copying,
            None => {
                free(&mut self.session)?;
                let session = self.session.take().ok_or_else(no_table)?;
                let statement = loading.copy_statement();
                self.copying.insert(Copying::start(session, statement))
            }
        };
        copying.send(encoded).await;
        loading.count_staged(block);
        Ok(())
    }

    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError> {
        self.end_copy().await?;
        let loading = self.loading.as_mut().ok_or_else(no_table)?;
        if !self.in_chunk {
            return Ok(Vec::new());
        }
        loading.conflicts(free(&mut self.session)?, limit).await
    }

    async fn resolve(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError> {
        self.end_copy().await?;
        let loading = self.loading.as_mut().ok_or_else(no_table)?;
        if !self.in_chunk {
            return Err(loading.unsuitable("there is no chunk to settle".to_owned()));
        }
        loading.resolve(free(&mut self.session)?, decisions).await
    }

    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError> {
        self.end_copy().await?;
        let loading = self.loading.as_mut().ok_or_else(no_table)?;
        if !self.in_chunk {
            return Ok(ChunkCounts::default());
        }
        let counts = loading.apply(free(&mut self.session)?).await?;
        free(&mut self.session)?.run("COMMIT").await?;
        self.in_chunk = false;
        loading.committed(counts);
        // Rows of an earlier attempt were sent by somebody who is gone.
        if loading.is_direct() && loading.sent.rows == loading.received {
            match &self.reading_back {
                Some(reading_back) => reading_back.go_on(),
                None => {
                    let server = Arc::clone(&self.server);
                    self.reading_back = Some(ReadingBack::start(server, loading));
                }
            }
        }
        Ok(counts)
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        if let Some(loading) = self.loading.as_mut() {
            loading.rolled_back();
        }
        if let Some(copying) = self.copying.take() {
            self.session = copying.abort().await;
        }
        if self.in_chunk {
            free(&mut self.session)?.run("ROLLBACK").await?;
            self.in_chunk = false;
        }
        Ok(())
    }

    async fn finish_table(&mut self, after: &[CheckedStatement]) -> Result<Loaded, DatabaseError> {
        if self.in_chunk {
            return Err(chunk_open());
        }
        let loading = self.loading.take().ok_or_else(no_table)?;
        free(&mut self.session)?.run("BEGIN").await?;
        let done = self.finish(&loading, after).await;
        self.end_transaction(done).await?;
        free(&mut self.session)?
            .run(format!("DROP TABLE IF EXISTS {STAGING}, {EXISTING}"))
            .await?;
        let read = match self.reading_back.take() {
            Some(reading_back) => reading_back.finish().await.ok(),
            None => None,
        };
        let read_back = read == Some(loading.sent);
        if read_back {
            let session = free(&mut self.session)?;
            loading.ledger().was_read_back(session).await?;
        }
        Ok(loading.loaded(read_back))
    }

    async fn read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        ledger::read_back(free(&mut self.session)?, run, table).await
    }
}
