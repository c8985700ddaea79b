//! Rows that are decided one by one: pages of conflicts out, decisions in.

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::Row;

use super::chunk_rows::Arrived;
use super::staging::{Rows, STAGING};
use super::table_writer::Loading;
use crate::bindings::types::Cell;
use crate::database::postgres::codec::copy_stream::{end_copy, start_copy};
use crate::database::postgres::codec::decode;
use crate::database::postgres::codec::local_cells;
use crate::database::postgres::codec::wide_text::Scratch;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;
use crate::database::{DatabaseError, Decision, StagedConflict};
use crate::rows::CellRef;

/// A page of conflicts is closed when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The cursor over a chunk's conflicts.
const CURSOR: &str = "tombolo_conflicts";

/// What is known of the chunk's rows that exist with another image, by their numbers.
#[derive(Debug, Default)]
pub(in crate::database::postgres) struct Conflicts {
    /// Read from the cursor, but behind the end of a page.
    waiting: Vec<i64>,
    shown: Vec<i64>,
    /// They stay as they are.
    kept: Vec<i64>,
    /// Others were staged for them, at the negated number.
    rewritten: Vec<i64>,
}

impl Loading {
    /// The next page of the chunk's rows that exist with another image.
    pub async fn conflicts(
        &mut self,
        session: &mut Session,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        if self.merge.is_plain_insert() {
            return Ok(Vec::new());
        }
        if self.chunk.conflicts.is_none() {
            self.analyze(session).await?;
            let mostly = self.look(session, Rows::All).await?.all_change;
            let all = self.conflicting("s.\"row\" > 0", mostly);
            session
                .run(format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {all}"))
                .await?;
        }
        let mut conflicts = self.chunk.conflicts.take().unwrap_or_default();
        let next = match std::mem::take(&mut conflicts.waiting) {
            none if none.is_empty() => query(format!("FETCH {limit} FROM {CURSOR}")),
            waiting => query(self.conflicting("s.\"row\" = ANY($1)", true)).bind(waiting),
        };
        let mut arrived = self
            .is_as_arrived()
            .then(|| Arrived::new(&self.chunk.blocks));
        let mut rows = next.fetch(session.raw());
        let (mut page, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows
            .try_next()
            .await
            .map_err(|error| error::at_work(&error))?
        {
            let position: i64 = column(&row, 0)?;
            if bytes >= PAGE_BYTES {
                conflicts.waiting.push(position);
                continue;
            }
            let local = self.read_cells(&row, 1)?;
            let number = u64::try_from(position).unwrap_or_default();
            let incoming = match &mut arrived {
                Some(arrived) => arrived.cells(number).ok_or_else(|| {
                    self.unsuitable(format!("row {number} is staged and never arrived"))
                })?,
                None => self.read_cells(&row, 1 + self.columns.len())?,
            };
            bytes += size(&incoming) + size(&local);
            conflicts.shown.push(position);
            page.push(StagedConflict {
                position: number,
                incoming,
                local,
            });
        }
        drop(rows);
        drop(arrived);
        self.chunk.conflicts = Some(conflicts);
        Ok(page)
    }

    /// Whether what arrived need not be read from the staging to be shown.
    fn is_as_arrived(&self) -> bool {
        self.as_it_is && self.chunk.changed.is_empty()
    }

    fn conflicting(&self, condition: &str, mostly: bool) -> String {
        let incoming = !self.is_as_arrived();
        self.merge.conflicts(condition, incoming, mostly)
    }

    fn read_cells(
        &self,
        row: &sqlx::postgres::PgRow,
        first: usize,
    ) -> Result<Vec<Cell>, DatabaseError> {
        let mut scratch = Scratch::default();
        let mut cells = Vec::with_capacity(self.columns.len());
        for (position, column) in self.columns.iter().enumerate() {
            let raw = row
                .try_get_raw(first + position)
                .map_err(|error| error::at_work(&error))?;
            let cell = match raw.as_bytes() {
                Err(_) => CellRef::Null,
                Ok(data) => decode::cell(column.kind.physical, data, &mut scratch, position + 1)
                    .map_err(|error| self.unsuitable(error.to_string()))?,
            };
            cells.push(local_cells::reread(
                cell,
                &column.kind.logical,
                &column.incoming,
            ));
        }
        Ok(cells)
    }

    /// Notes what becomes of rows, and stages those that were written, next to the ones that they replace.
    pub async fn resolve(
        &mut self,
        session: &mut Session,
        decisions: Vec<(u64, Decision)>,
    ) -> Result<(), DatabaseError> {
        let mut written = BytesMut::new();
        start_copy(&mut written);
        let Some(mut conflicts) = self.chunk.conflicts.take() else {
            return Err(self.unsuitable("a row was decided that was not shown".to_owned()));
        };
        let before = conflicts.rewritten.len();
        for (position, decision) in decisions {
            let number = i64::try_from(position).unwrap_or(i64::MAX);
            match decision {
                Decision::TakeIncoming => {}
                Decision::KeepLocal => conflicts.kept.push(number),
                Decision::Write(cells) => {
                    if cells.len() != self.columns.len() {
                        return Err(self.unsuitable(format!(
                            "a decided row has {} cells instead of {}",
                            cells.len(),
                            self.columns.len()
                        )));
                    }
                    let cells = cells.iter().map(CellRef::from);
                    self.encode_rewritten(position, cells, &mut written)?;
                    conflicts.rewritten.push(number);
                }
            }
        }
        end_copy(&mut written);
        if conflicts.rewritten.len() > before {
            self.copy(session, &written).await?;
        }
        self.chunk.conflicts = Some(conflicts);
        Ok(())
    }

    /// Brings the staging to what was decided.
    pub async fn carry_out(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        let Some(conflicts) = &self.chunk.conflicts else {
            return Ok(());
        };
        session.run(format!("CLOSE {CURSOR}")).await?;
        let gone = [conflicts.kept.as_slice(), &conflicts.rewritten].concat();
        if gone.is_empty() {
            return Ok(());
        }
        let staged = gone.len();
        let remove = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
        let removed = session.execute(query(remove).bind(gone)).await?;
        if usize::try_from(removed) != Ok(staged) {
            return Err(self
                .unsuitable("a row was decided that is not staged, or decided twice".to_owned()));
        }
        if !conflicts.rewritten.is_empty() {
            session
                .run(format!(
                    "UPDATE {STAGING} SET \"row\" = -\"row\" WHERE \"row\" < 0"
                ))
                .await?;
        }
        self.chunk.skipped += conflicts.kept.len() as u64;
        Ok(())
    }

    /// The numbers of the only staged rows that can change existing ones, where these are known and few.
    pub fn changing(&self, session: &Session) -> Option<&[i64]> {
        let shown = self.chunk.conflicts.as_ref()?.shown.as_slice();
        let few = (shown.len() as u64).saturating_mul(4) < self.chunk.rows;
        // Older servers look through the list for each row.
        (few && session.version() >= 140_000).then_some(shown)
    }
}

fn size(cells: &[Cell]) -> usize {
    cells
        .iter()
        .map(|cell| match cell {
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
            _ => 8,
        })
        .sum()
}
