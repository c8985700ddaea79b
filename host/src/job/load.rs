//! One table's rows into the target, chunk by chunk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{PreparedTable, fetch, strategy};
use crate::bindings::types::{Failure, Peer, TableReport, TableSchema};
use crate::database::{ChunkCounts, Database, TableLoad, Target};
use crate::failure::failure;
use crate::notices::{Happening, TableProgress};
use crate::rows::{Frame, RowBlock};
use crate::tenant::Tenant;

/// A chunk is one transaction: it ends at this many rows, …
const CHUNK_ROWS: u64 = 250_000;

/// … at this many bytes, …
const CHUNK_BYTES: u64 = 64 << 20;

/// … or after this long, so that no lock is held for long.
const CHUNK_TIME: Duration = Duration::from_secs(5);

/// The most conflicts a component is shown at once.
const CONFLICT_PAGE: u32 = 500;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// What all tables of a run share.
pub struct Run<'a> {
    pub tenant: &'a Arc<Tenant>,
    pub database: &'a dyn Database,
    pub id: &'a str,
    pub peer: &'a Peer,
    pub cancelled: &'a watch::Receiver<bool>,
}

/// The chunk under way.
#[derive(Default)]
struct Chunk {
    rows: u64,
    bytes: u64,
    began: Option<Instant>,
}

impl Chunk {
    fn add(&mut self, block: &RowBlock) {
        self.rows += u64::from(block.row_count());
        self.bytes += block.data().len() as u64;
        self.began.get_or_insert_with(Instant::now);
    }

    fn is_full(&self) -> bool {
        self.rows >= CHUNK_ROWS
            || self.bytes >= CHUNK_BYTES
            || self
                .began
                .is_some_and(|began| began.elapsed() >= CHUNK_TIME)
    }
}

impl Run<'_> {
    /// Loads one table. After an error the target holds whole chunks only.
    pub async fn load(
        &self,
        target: &mut dyn Target,
        table: PreparedTable,
    ) -> Result<TableReport, Failure> {
        let outcome = self.load_chunks(target, &table).await;
        if outcome.is_err()
            && let Err(error) = target.rollback().await
        {
            tracing::warn!(%error, "a chunk could not be rolled back; closing the connection does it");
        }
        outcome
    }

    async fn load_chunks(
        &self,
        target: &mut dyn Target,
        table: &PreparedTable,
    ) -> Result<TableReport, Failure> {
        let order = &table.order;
        let name = &order.incoming.table;
        self.check_cancelled()?;
        let (mut incoming, header) = fetch::open(self.tenant, self.peer, self.id, name).await?;
        let arriving = &order.incoming;
        if !same_columns(&header.table, arriving) {
            return Err(failure(
                "columns-differ",
                format!("table {name:?} changed at the other site after it was described"),
                "pull again",
            ));
        }
        if order.create {
            target.create(&table.before, arriving).await?;
        }
        target
            .begin_table(TableLoad {
                run: self.id.to_owned(),
                incoming: arriving.clone(),
                local: self.database.describe(name).await?,
                plan: table.strategy.plan.clone(),
                created: order.create,
            })
            .await?;

        let mut counts = ChunkCounts::default();
        let mut chunk = Chunk::default();
        let mut received = 0;
        let mut told = Instant::now();
        loop {
            match incoming.next().await? {
                Frame::Rows(block) => {
                    target.stage(&block).await?;
                    chunk.add(&block);
                    received += u64::from(block.row_count());
                    if told.elapsed() >= PROGRESS {
                        told = Instant::now();
                        self.tell(name, received, incoming.received());
                    }
                    if order.one_chunk && chunk.rows > CHUNK_ROWS {
                        return Err(too_large(name));
                    }
                    if chunk.is_full() && !order.one_chunk {
                        counts += self.commit(target, table).await?;
                        chunk = Chunk::default();
                        self.check_cancelled()?;
                    }
                }
                Frame::Alive => self.check_cancelled()?,
                Frame::End(_) => break,
            }
        }
        if chunk.rows > 0 {
            counts += self.commit(target, table).await?;
        }
        if !table.after.is_empty() {
            target.create(&table.after, arriving).await?;
        }
        target.finish_table().await?;
        self.tell(name, received, incoming.received());
        let accounted = counts.created + counts.updated + counts.same + counts.skipped;
        if accounted != received {
            return Err(failure(
                "internal",
                format!("table {name:?}: {received} rows arrived, {accounted} are accounted for"),
                "please report this with the table's definition",
            ));
        }
        Ok(TableReport {
            table: name.clone(),
            created: counts.created,
            updated: counts.updated,
            same: counts.same,
            skipped: counts.skipped,
            failed: 0,
            bytes: incoming.received(),
        })
    }

    async fn commit(
        &self,
        target: &mut dyn Target,
        table: &PreparedTable,
    ) -> Result<ChunkCounts, Failure> {
        if let Some(judge) = &table.strategy.judge {
            settle(target, judge, &table.order.incoming).await?;
        }
        Ok(target.commit_chunk().await?)
    }

    fn tell(&self, table: &str, rows: u64, bytes: u64) {
        let progress = TableProgress {
            table: table.to_owned(),
            rows,
            bytes,
        };
        self.tenant
            .notices()
            .publish(self.id, Happening::Progress(progress));
    }

    fn check_cancelled(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(failure(
                "cancelled",
                "the pull was cancelled",
                "what is committed is complete; pull again for the rest",
            ));
        }
        Ok(())
    }
}

/// Lets a component judge the chunk's conflicting rows, page by page.
async fn settle(
    target: &mut dyn Target,
    judge: &strategy::Judge,
    arriving: &TableSchema,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = target.conflicts(after, CONFLICT_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.position;
        let decisions = judge.decide(arriving, page).await?;
        let settled = target.settle(decisions).await;
        settled.map_err(|error| judge.blame(error))?;
    }
}

fn same_columns(one: &TableSchema, other: &TableSchema) -> bool {
    one.table == other.table
        && one.columns.len() == other.columns.len()
        && one
            .columns
            .iter()
            .zip(&other.columns)
            .all(|(one, other)| one.name == other.name && one.logical == other.logical)
}

fn too_large(table: &str) -> Failure {
    failure(
        "table-too-large",
        format!(
            "table {table:?} refers to itself, so all its rows have to be written at once, and it has more than {CHUNK_ROWS}"
        ),
        "drop its foreign key to itself for the time of the transfer",
    )
}
