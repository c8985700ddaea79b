//! One table on its way in: what was staged, and how it is applied.

use super::conflicts::Conflicts;
use super::key_order::KeyOrder;
use super::merge_sql::Merge;
use super::plan;
use super::row_encoder::Column;
use super::staging::{STAGING, StagedColumn};
use crate::bindings::types::{Conversion, LogicalType, Stored};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::catalog::constraints::Constraints;
use crate::database::postgres::codec::encode::ColumnEncoding;
use crate::database::postgres::codec::types::PhysicalType;
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::database::postgres::meta::ledger::{Changed, Ledger};
use crate::database::postgres::meta::rejects::Rejects;
use crate::database::{ChunkCounts, DatabaseError, Loaded, TableLoad};
use crate::rows::{BlockBuilder, BucketDigest, CellRef, RowBlock};

/// An unanalysed staging misleads the planner from about this many rows on.
const ANALYZE_ROWS: u64 = 1_000;

/// What is staged and not yet committed.
#[derive(Default)]
pub(in crate::database::postgres) struct Chunk {
    pub rows: u64,
    pub skipped: u64,
    /// None before they are asked for.
    pub conflicts: Option<Conflicts>,
    analyzed: bool,
    pub last_key: Option<Vec<u8>>,
    /// The rows as they arrived, each block with the number of rows before it; only where rows can be rejected.
    pub blocks: Vec<(u64, RowBlock)>,
    /// How many values of the other rows were changed to fit.
    pub changed: Changed,
    /// Rows that no column can hold, and why.
    pub unfit: Vec<(u64, String)>,
    /// Whether texts are known to be what their types would print.
    pub exact_casts: bool,
    /// The rows as they were sent directly into the table.
    pub sent: BucketDigest,
}

/// A table between `begin_table` and `finish_table`.
pub(in crate::database::postgres) struct Loading {
    pub local: Description,
    pub merge: Merge,
    pub constraints: Constraints,
    pub columns: Vec<Column>,
    /// Where the incoming primary key's cells are in a row.
    key: Vec<usize>,
    pub ledger: Ledger,
    pub rejects: Rejects,
    /// Whether what a component saw of existing rows may not change until the commit.
    row_by_row: bool,
    /// Whether rows go into the table itself: it is this run's, and takes them as they are.
    direct: bool,
    /// Whether rows are read as they arrived: decimals of SQLite come as numbers of several kinds, and are read as texts.
    has_one_form: bool,
    /// Whether what is staged would be read as it arrived.
    pub as_it_is: bool,
    /// Rows committed, those of earlier attempts of the run included.
    pub received: u64,
    /// The rows that this attempt sent directly into the table and committed.
    pub sent: BucketDigest,
    /// Of the plan's keys in the chunk.
    pub key_order: KeyOrder,
    pub chunk: Chunk,
}

impl Loading {
    pub fn new(
        load: TableLoad,
        local: Description,
        constraints: Constraints,
        mut ledger: Ledger,
    ) -> Result<Self, DatabaseError> {
        let merge = plan::resolve(&local, &load.incoming, &load.plan, &constraints)?;
        let fits = |(incoming, staged): (&crate::bindings::types::Column, &StagedColumn)| {
            matches!(staged.kind.physical, PhysicalType::WideText(_))
                || staged.kind.physical != PhysicalType::ByText
                    && incoming.logical == staged.kind.logical
        };
        let as_it_is = load.incoming.columns.iter().zip(&merge.columns).all(fits);
        let has_one_form =
            |(incoming, staged): (&crate::bindings::types::Column, &StagedColumn)| {
                incoming.logical != LogicalType::Decimal
                    || incoming.origin.starts_with("pg:")
                    || matches!(staged.kind.physical, PhysicalType::WideText(_))
            };
        let has_one_form = load
            .incoming
            .columns
            .iter()
            .zip(&merge.columns)
            .all(has_one_form);
        if !load.direct
            || load.create.is_none()
            || load.plan.regenerates_key()
            || !constraints.triggers.is_empty()
            || !as_it_is
        {
            ledger.end_direct(load.retry);
        }
        let key: Vec<usize> = load
            .incoming
            .primary_key
            .iter()
            .filter_map(|name| {
                let mut columns = load.incoming.columns.iter();
                columns.position(|column| column.name == *name)
            })
            .collect();
        let rejects = Rejects::new(&load, key.clone(), ledger.failed());
        let received = match load.retry {
            // Their numbers are free again.
            true => 0,
            false => ledger.received(),
        };
        // Another key would be that of another row.
        let may_change = |name: &String| {
            load.conversion_of(name) == Conversion::Lossy
                && !load.incoming.primary_key.contains(name)
                && !load.plan.is_key(name)
        };
        let lossy: Vec<bool> = load
            .incoming
            .columns
            .iter()
            .map(|column| may_change(&column.name))
            .collect();
        let incoming = load.incoming.columns;
        let columns = incoming
            .into_iter()
            .zip(&merge.columns)
            .zip(lossy)
            .map(|((incoming, staged), lossy)| Column {
                lossy,
                nullable: local
                    .column(&incoming.name)
                    .is_some_and(|(column, _)| column.nullable),
                name: incoming.name,
                kind: staged.kind.clone(),
                encoding: ColumnEncoding {
                    incoming: incoming.logical.clone(),
                    local: staged.kind.logical.clone(),
                    physical: staged.kind.physical,
                    check_documents: !incoming.origin.starts_with("pg:"),
                },
                incoming: incoming.logical,
            })
            .collect();
        let plan_key = merge.key.iter().map(|column| column.position).collect();
        Ok(Self {
            local,
            key_order: KeyOrder::new(plan_key),
            merge,
            constraints,
            columns,
            key,
            row_by_row: load.row_by_row,
            direct: ledger.is_direct(),
            has_one_form,
            as_it_is: as_it_is && has_one_form,
            ledger,
            rejects,
            received,
            sent: BucketDigest::default(),
            chunk: Chunk::default(),
        })
    }

    pub fn merge(&self) -> &Merge {
        &self.merge
    }

    pub fn local(&self) -> &Description {
        &self.local
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The rows that are staged from now on come from this snapshot.
    pub fn read_from(&mut self, snapshot: &str) {
        self.ledger.read_from(snapshot);
    }

    /// What is known of the complete table, as far as this connection can tell. `read_back`: what went directly into it
    /// was found in it.
    pub fn loaded(&self, read_back: bool) -> Loaded {
        let mut loaded = self.ledger.loaded(self.constraints.trigger_names());
        if read_back {
            loaded.stored = Stored::Verified;
        } else if loaded.digest.is_some() && !self.has_one_form {
            loaded.stored = Stored::Unverified(
                "it has decimals of several forms, and was not filled in one go".to_owned(),
            );
        } else {
            return loaded;
        }
        loaded.digest = None;
        loaded
    }

    pub fn unsuitable(&self, reason: String) -> DatabaseError {
        DatabaseError::Unsuitable {
            table: self.local.relation.table.clone(),
            reason,
        }
    }

    /// Where rows go: directly into the table, or into the staging.
    pub fn copy_statement(&self) -> String {
        if self.direct {
            self.merge.copy_direct()
        } else {
            format!("COPY {STAGING} FROM STDIN (FORMAT binary)")
        }
    }

    /// What begins a chunk's transaction. In one that is repeatable, a row that somebody else changed after it was judged
    /// ends the chunk, and it comes again.
    pub fn isolation(&self) -> &'static str {
        match self.row_by_row {
            true => "REPEATABLE READ",
            false => "READ COMMITTED",
        }
    }

    /// Whether rows go directly into the table.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The rows have to be loaded again, through a staging.
    pub fn needs_staging(&self) -> DatabaseError {
        DatabaseError::NeedsStaging {
            table: self.local.relation.table.clone(),
        }
    }

    /// Sends a whole COPY stream into the staging.
    pub async fn copy(&self, session: &mut Session, encoded: &[u8]) -> Result<(), DatabaseError> {
        let statement = format!("COPY {STAGING} FROM STDIN (FORMAT binary)");
        let broken = |error| error::at_work(&error);
        let mut copy = session
            .raw()
            .copy_in_raw(&statement)
            .await
            .map_err(broken)?;
        copy.send(encoded).await.map_err(broken)?;
        copy.finish().await.map_err(broken)?;
        Ok(())
    }

    /// Notes that a block is staged.
    pub fn count_staged(&mut self, block: &RowBlock) {
        self.ledger.staged(block);
        if !self.direct {
            let before = self.received + self.chunk.rows;
            self.chunk.blocks.push((before, block.clone()));
        }
        self.chunk.rows += u64::from(block.row_count());
        self.chunk.analyzed = false;
        if self.key.is_empty() {
            return;
        }
        let Some(last) = block.rows().last() else {
            return;
        };
        let cells: Vec<_> = last.collect();
        let mut builder = BlockBuilder::new(self.key.len());
        for position in &self.key {
            builder.push(cells.get(*position).copied().unwrap_or(CellRef::Null));
        }
        builder.end_row();
        self.chunk.last_key = Some(builder.take().data().to_vec());
    }

    pub async fn analyze(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        if !self.chunk.analyzed && self.chunk.rows > ANALYZE_ROWS {
            session.run(format!("ANALYZE {STAGING}")).await?;
        }
        self.chunk.analyzed = true;
        Ok(())
    }

    pub fn shortfall(&self) -> DatabaseError {
        self.unsuitable(
            "other sessions keep writing the same rows; nothing of this chunk was kept; pull again when they are done"
                .to_owned(),
        )
    }

    /// The chunk is in the table.
    pub fn committed(&mut self, counts: ChunkCounts) {
        self.ledger.committed(counts, self.rejects.retried());
        self.rejects.committed();
        self.received += self.chunk.rows;
        self.sent.add(self.chunk.sent);
        self.key_order.reset();
        self.chunk = Chunk::default();
    }

    /// The chunk is gone.
    pub fn rolled_back(&mut self) {
        self.ledger.rolled_back();
        self.rejects.rolled_back();
        self.key_order.reset();
        self.chunk = Chunk::default();
    }
}
