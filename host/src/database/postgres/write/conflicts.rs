//! Conflicts that a component resolves row by row: pages of conflicting rows out, resolutions in.

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::chunk_rows::ChunkRows;
use super::execute::Guess;
use super::plan::TablePlan;
use super::staging::{COPY_STAGING, Rows, STAGING};
use crate::bindings::types::Cell;
use crate::database::postgres::codec::copy_stream::{end_copy, start_copy};
use crate::database::postgres::codec::decode;
use crate::database::postgres::codec::wide_text::Scratch;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;
use crate::database::{DatabaseError, Resolution, StagedConflict};
use crate::rows::CellRef;

/// A page of conflicts is closed when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The cursor over a chunk's conflicts.
const CURSOR: &str = "tombolo_conflicts";

/// The chunk's rows that exist with another image, by their numbers.
#[derive(Debug)]
pub(super) struct Conflicts {
    /// Whether incoming cells are shown as they were received; else they are read from the staging.
    as_received: bool,
    /// Read from the cursor, but behind the end of a page.
    waiting: Vec<i64>,
    shown: Vec<i64>,
    /// They stay as they are.
    kept: Vec<i64>,
    /// Others were staged for them, at the negated number.
    rewritten: Vec<i64>,
}

impl Conflicts {
    /// Opens the cursor over the conflicts of the staged rows.
    pub async fn open(
        session: &mut Session,
        plan: &TablePlan,
        chunk: &ChunkRows,
    ) -> Result<Self, DatabaseError> {
        let encoder = &plan.encoder;
        let as_received =
            encoder.takes_cells() && encoder.has_one_form() && chunk.changed.is_empty();
        let guess = Guess::make(session, &plan.merge, Rows::All).await?;
        let all = plan
            .merge
            .conflicts("s.\"row\" > 0", !as_received, guess.all_change);
        session
            .run(format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {all}"))
            .await?;
        Ok(Self {
            as_received,
            waiting: Vec::new(),
            shown: Vec::new(),
            kept: Vec::new(),
            rewritten: Vec::new(),
        })
    }

    /// Returns the next page, at most `limit` rows and about [`PAGE_BYTES`] of cells.
    pub async fn page(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        chunk: &ChunkRows,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        let next = match std::mem::take(&mut self.waiting) {
            none if none.is_empty() => query(format!("FETCH {limit} FROM {CURSOR}")),
            waiting => {
                let these = "s.\"row\" = ANY($1)";
                query(plan.merge.conflicts(these, !self.as_received, true)).bind(waiting)
            }
        };
        let mut received = self.as_received.then(|| chunk.lookup());
        let mut rows = next.fetch(session.raw());
        let (mut page, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows
            .try_next()
            .await
            .map_err(|error| error::at_work(&error))?
        {
            let position: i64 = column(&row, 0)?;
            if bytes >= PAGE_BYTES {
                self.waiting.push(position);
                continue;
            }
            let local = read_cells(plan, &row, 1)?;
            let number = u64::try_from(position).unwrap_or_default();
            let incoming = match &mut received {
                Some(received) => received.cells(number).ok_or_else(|| {
                    plan.unsuitable(format!("row {number} is staged and was never received"))
                })?,
                None => read_cells(plan, &row, 1 + plan.encoder.columns().len())?,
            };
            bytes += size(&incoming) + size(&local);
            self.shown.push(position);
            page.push(StagedConflict {
                position: number,
                incoming,
                local,
            });
        }
        Ok(page)
    }

    /// Notes what becomes of rows, and stages those that were written, next to the ones that they replace.
    pub async fn resolve(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        resolutions: Vec<(u64, Resolution)>,
    ) -> Result<(), DatabaseError> {
        let mut written = BytesMut::new();
        start_copy(&mut written);
        let before = self.rewritten.len();
        let width = plan.encoder.columns().len();
        for (position, resolution) in resolutions {
            let number = i64::try_from(position).unwrap_or(i64::MAX);
            match resolution {
                Resolution::TakeIncoming => {}
                Resolution::KeepLocal => self.kept.push(number),
                Resolution::Write(cells) => {
                    if cells.len() != width {
                        return Err(plan.unsuitable(format!(
                            "a resolved row has {} cells instead of {width}",
                            cells.len()
                        )));
                    }
                    let cells = cells.iter().map(CellRef::from);
                    plan.encoder
                        .encode_rewritten(position, cells, &mut written)?;
                    self.rewritten.push(number);
                }
            }
        }
        end_copy(&mut written);
        if self.rewritten.len() > before {
            session.copy_in(COPY_STAGING, &written).await?;
        }
        Ok(())
    }

    /// Brings the staging to what was resolved. Returns how many rows keep their local image. Fails with
    /// [`DatabaseError::Unsuitable`] if a row is not staged, or was resolved twice.
    pub async fn carry_out(
        &self,
        session: &mut Session,
        plan: &TablePlan,
    ) -> Result<u64, DatabaseError> {
        session.run(format!("CLOSE {CURSOR}")).await?;
        let gone = [self.kept.as_slice(), &self.rewritten].concat();
        if gone.is_empty() {
            return Ok(0);
        }
        let staged = gone.len();
        let remove = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
        let removed = session.execute(query(remove).bind(gone)).await?;
        if usize::try_from(removed) != Ok(staged) {
            return Err(plan.unsuitable("a row was resolved that is not staged, or resolved twice"));
        }
        if !self.rewritten.is_empty() {
            session
                .run(format!(
                    "UPDATE {STAGING} SET \"row\" = -\"row\" WHERE \"row\" < 0"
                ))
                .await?;
        }
        Ok(self.kept.len() as u64)
    }

    /// Returns the numbers of the only staged rows that can change existing ones, if they are few among `rows`.
    pub fn changing(&self, session: &Session, rows: u64) -> Option<&[i64]> {
        let few = (self.shown.len() as u64).saturating_mul(4) < rows;
        // Older servers look through the list for each row.
        (few && session.version() >= 140_000).then_some(self.shown.as_slice())
    }
}

/// Reads the cells of a row from a column on, in the form of the incoming columns.
fn read_cells(plan: &TablePlan, row: &PgRow, first: usize) -> Result<Vec<Cell>, DatabaseError> {
    let columns = plan.encoder.columns();
    let mut scratch = Scratch::default();
    let mut cells = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        let raw = row
            .try_get_raw(first + position)
            .map_err(|error| error::at_work(&error))?;
        let cell = match raw.as_bytes() {
            Err(_) => CellRef::Null,
            Ok(data) => decode::cell(column.kind.physical, data, &mut scratch, position + 1)
                .map_err(|error| plan.unsuitable(error.to_string()))?,
        };
        cells.push(match &column.form {
            Some(form) => form.apply(cell),
            None => cell.to_cell(),
        });
    }
    Ok(cells)
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
