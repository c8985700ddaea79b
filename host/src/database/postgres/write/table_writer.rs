//! Writes one table: directly, or through a staging.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::create;
use super::direct_load::DirectLoad;
use super::plan::TablePlan;
use super::staged_load::StagedLoad;
use super::staging::{COPY_STAGING, EXISTING, STAGING};
use super::transaction::WriteConnection;
use crate::database::postgres::catalog::zones::Zones;
use crate::database::postgres::catalog::{Description, Relation, constraints, sequences};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;
use crate::database::postgres::meta::{ledger, trust};
use crate::database::postgres::server::Server;
use crate::database::{
    Bookkeeping, CheckedStatement, ChunkCounts, DatabaseError, DirectFacts, Evidence, LedgerEntry,
    RejectedParents, Resolution, StagedConflict, Step, TableWrite, TableWriter, WriteOutcome,
    is_direct,
};
use crate::rows::RowBlock;

/// The staging drives every join, by the target's key: a hash or merge join would scan the whole target. To know how
/// many rows are staged, the planner needs only a small sample of them.
const CHUNK_SETTINGS: &str = "\
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL default_statistics_target = 10";

/// A table between its begin and its finish.
pub(in crate::database::postgres) struct PostgresTableWriter<'a> {
    connection: &'a mut WriteConnection,
    plan: TablePlan,
    books: Bookkeeping,
    /// Starts a chunk's transaction.
    begin: String,
    /// Other tables whose rows changed in the chunks' transactions.
    touched: BTreeSet<String>,
    /// The last block of the chunk under way.
    last_block: Option<RowBlock>,
    /// Rejected rows that rows of the table may refer to.
    parents: RejectedParents,
    load: Load,
}

/// How rows get into the table.
enum Load {
    Direct(DirectLoad),
    Staged(Box<StagedLoad>),
}

impl<'a> PostgresTableWriter<'a> {
    /// Begins a table, or goes on with it. `functions` is the path for functions of the database that run when rows are
    /// written.
    pub async fn begin(
        server: &Arc<Server>,
        connection: &'a mut WriteConnection,
        functions: &str,
        write: TableWrite,
    ) -> Result<Self, DatabaseError> {
        let session = connection.outside_chunk().await?;
        let zones = Zones::find(session, server.zones(), &write.conversions).await?;
        session.run("BEGIN").await?;
        let entered = async {
            trust::lock_to_write(session).await?;
            create::enter(session, server.place(), &write).await
        };
        let entered = entered.await.and_then(refuse_filtered);
        let (local, mut books) = session.end_transaction(entered).await?;
        let constraints = constraints::find(session, &local).await?;
        if write.plan.regenerates_key() {
            sequences::advance(session, &local).await?;
        }
        let plan = TablePlan::new(&write, local, constraints, &zones)?;
        let facts = DirectFacts {
            mode: write.mode,
            retry: write.retry,
            is_only_writer: write.create.is_some() && books.is_direct(),
            has_triggers: !plan.constraints.triggers.is_empty(),
            regenerates_key: write.plan.regenerates_key(),
            takes_cells: plan.encoder.takes_cells(),
        };
        let load = if is_direct(&facts) {
            Load::Direct(DirectLoad::new(Arc::clone(server), &plan))
        } else {
            books.end_direct();
            let load = StagedLoad::new(session, &plan, &books, &write).await?;
            Load::Staged(Box::new(load))
        };
        Ok(Self {
            connection,
            plan,
            books,
            begin: begin_chunk(write.row_by_row, functions),
            touched: BTreeSet::new(),
            last_block: None,
            parents: write.rejected_parents,
            load,
        })
    }

    /// Ends the COPY of the chunk's rows. Where the server refused one of them, a staging finds it.
    async fn end_staging(&mut self) -> Result<Step<()>, DatabaseError> {
        let ended = self.connection.chunk().await.map(|_| ());
        match (ended, &mut self.load) {
            (Ok(()), _) => Ok(Step::Done(())),
            (Err(error), _) if !error::may_be_caused_by_a_row(&error) => Err(error),
            (Err(_), Load::Direct(_)) => Ok(Step::NeedsStaging),
            (Err(_), Load::Staged(load)) => {
                let session = self.connection.begin_again(&self.begin).await?;
                load.copy_again(session, &self.plan, &self.books).await?;
                Ok(Step::Done(()))
            }
        }
    }

    /// Runs the statements that follow the data, and marks the table as complete; the caller has a transaction.
    async fn complete(
        session: &mut Session,
        plan: &TablePlan,
        books: &Bookkeeping,
        after: &[CheckedStatement],
    ) -> Result<(), DatabaseError> {
        trust::lock_to_write(session).await?;
        let after: Vec<&CheckedStatement> = after.iter().collect();
        create::run_all(session, plan.table(), &after).await?;
        sequences::advance(session, &plan.local).await?;
        ledger::finish(session, books).await
    }
}

/// Fails with [`DatabaseError::Unsuitable`] for a table whose policies may hide rows from the login: rows that exist
/// would be taken for missing.
fn refuse_filtered<T>((local, rest): (Description, T)) -> Result<(Description, T), DatabaseError> {
    if !local.relation.filtered {
        return Ok((local, rest));
    }
    Err(DatabaseError::Unsuitable {
        table: local.relation.table,
        reason: "its policies may hide rows of the target from this login; write it as its owner, or as a login with BYPASSRLS"
            .to_owned(),
    })
}

/// The start of a chunk's transaction. If a component decides on rows, it is repeatable: a row that another session
/// changes after the component saw it fails the chunk, and its rows are sent again.
fn begin_chunk(row_by_row: bool, functions: &str) -> String {
    let level = match row_by_row {
        true => "REPEATABLE READ",
        false => "READ COMMITTED",
    };
    format!(
        "BEGIN ISOLATION LEVEL {level} READ WRITE; {CHUNK_SETTINGS}; SET LOCAL search_path = {functions}"
    )
}

/// Returns the other tables of a table's schema whose rows changed in this transaction.
async fn touched(session: &mut Session, table: &Relation) -> Result<Vec<String>, DatabaseError> {
    let rows = session
        .rows(
            query(
                "SELECT relname::text AS name FROM pg_catalog.pg_stat_xact_user_tables \
                 WHERE schemaname = $1 AND relid <> $2::int8::oid AND n_tup_ins + n_tup_upd + n_tup_del > 0",
            )
            .bind(table.schema.clone())
            .bind(table.oid),
        )
        .await?;
    rows.iter().map(|row| column(row, "name")).collect()
}

#[async_trait]
impl TableWriter for PostgresTableWriter<'_> {
    fn read_from(&mut self, snapshot: &str) {
        self.books.read_from(snapshot);
    }

    async fn ledger_entry(&mut self) -> Result<Option<LedgerEntry>, DatabaseError> {
        // In a chunk, its transaction has the lock already.
        let session = match self.connection.chunk().await?.is_some() {
            true => self.connection.session().await?,
            false => {
                let session = self.connection.outside_chunk().await?;
                trust::verify(session).await?;
                session
            }
        };
        let row = ledger::find(session, self.books.run(), self.books.table()).await?;
        Ok(row.map(LedgerEntry::from))
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<Step<()>, DatabaseError> {
        let (copy, rows) = match &mut self.load {
            // A row that refers to a rejected one has to be kept apart.
            Load::Direct(_) if block.rows().any(|row| self.parents.find(row).is_some()) => {
                return Ok(Step::NeedsStaging);
            }
            Load::Direct(load) => match load.encode(&self.plan, block)? {
                Step::Done(rows) => (load.copy_statement(), rows),
                Step::NeedsStaging => return Ok(Step::NeedsStaging),
            },
            Load::Staged(load) => (
                COPY_STAGING,
                load.encode(&self.plan, &mut self.books, block)?,
            ),
        };
        self.connection.copy(&self.begin, copy, rows).await?;
        self.books.arrived(block);
        self.last_block = Some(block.clone());
        Ok(Step::Done(()))
    }

    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError> {
        if let Step::NeedsStaging = self.end_staging().await? {
            return Ok(Vec::new());
        }
        match (&mut self.load, self.connection.chunk().await?) {
            (Load::Staged(load), Some(session)) => {
                load.conflicts(session, &self.plan, &self.books, limit)
                    .await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn resolve(&mut self, resolutions: Vec<(u64, Resolution)>) -> Result<(), DatabaseError> {
        match (&mut self.load, self.connection.chunk().await?) {
            (Load::Staged(load), Some(session)) => {
                load.resolve(session, &self.plan, resolutions).await
            }
            _ => Err(self.plan.unsuitable("no conflicts were shown")),
        }
    }

    async fn commit(&mut self) -> Result<Step<ChunkCounts>, DatabaseError> {
        if let Step::NeedsStaging = self.end_staging().await? {
            return Ok(Step::NeedsStaging);
        }
        let Some(session) = self.connection.chunk().await? else {
            return Ok(Step::Done(ChunkCounts::default()));
        };
        let counts = match &mut self.load {
            Load::Direct(load) => load.counts(),
            Load::Staged(load) => load.apply(session, &self.plan, &mut self.books).await?,
        };
        if !self.plan.constraints.triggers.is_empty() {
            self.touched
                .extend(touched(session, &self.plan.local.relation).await?);
        }
        let last_key = self.last_block.as_ref();
        let last_key = last_key.and_then(|block| self.plan.last_key(block));
        let row = self.books.advance(counts, last_key);
        ledger::advance(session, &self.books, &row).await?;
        self.connection.commit().await?;
        self.books.committed(row);
        self.last_block = None;
        match &mut self.load {
            Load::Direct(load) => {
                load.committed(&self.plan, self.books.row().counts.received());
            }
            Load::Staged(load) => load.committed(),
        }
        Ok(Step::Done(counts))
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.books.rolled_back();
        self.last_block = None;
        match &mut self.load {
            Load::Direct(load) => load.rolled_back(),
            Load::Staged(load) => load.rolled_back(),
        }
        self.connection.rollback().await
    }

    async fn keep_sample(&mut self) -> Result<(), DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        let Load::Staged(load) = &self.load else {
            return Ok(());
        };
        session.run("BEGIN").await?;
        let kept = async {
            trust::lock_to_write(session).await?;
            load.keep_sample(session, &mut self.books).await
        };
        let kept = kept.await;
        session.end_transaction(kept).await
    }

    async fn discard_new_table(self: Box<Self>) -> Result<(), DatabaseError> {
        if !self.books.is_untouched() {
            return Ok(());
        }
        let Self {
            connection,
            plan,
            books,
            ..
        } = *self;
        let session = connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let discarded = async {
            trust::lock_to_write(session).await?;
            create::discard(session, &plan.local.relation, &books).await
        };
        let discarded = discarded.await;
        session.end_transaction(discarded).await
    }

    async fn finish(
        self: Box<Self>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, DatabaseError> {
        let Self {
            connection,
            plan,
            books,
            load,
            touched,
            ..
        } = *self;
        let session = connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let completed = Self::complete(session, &plan, &books, after).await;
        session.end_transaction(completed).await?;
        session
            .run(format!("DROP TABLE IF EXISTS {STAGING}, {EXISTING}"))
            .await?;
        let evidence = books.evidence(
            books.is_direct(),
            plan.constraints.trigger_names(),
            "some of its rows could not be checked",
        );
        let evidence = match (evidence, load) {
            (Evidence::Direct { digest, .. }, Load::Direct(load)) => Evidence::Direct {
                digest: digest.filter(|_| plan.encoder.has_one_form()),
                readback: load.finish().await,
            },
            (evidence, _) => evidence,
        };
        let mut outcome = WriteOutcome {
            touched: touched.into_iter().collect(),
            triggers: plan.constraints.trigger_names(),
            ..books.outcome(evidence)
        };
        for changes in &mut outcome.changed {
            changes.kind = plan.encoder.change_kind(&changes.column);
        }
        Ok(outcome)
    }
}
