//! Rows that are decided one by one: pages of conflicts out, decisions in.

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::Row;

use super::connection::{Session, column, query};
use super::encode::{end_copy, start_copy};
use super::loading::Loading;
use super::staging::STAGING;
use super::widened::Scratch;
use super::{decode, error, reread};
use crate::bindings::types::Cell;
use crate::database::{DatabaseError, Decision, StagedConflict};
use crate::rows::CellRef;

/// A page of conflicts is closed when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

impl Loading {
    /// A page of staged rows that exist with another image.
    pub(super) async fn conflicts(
        &mut self,
        session: &mut Session,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        if self.merge.is_plain_insert() {
            return Ok(Vec::new());
        }
        self.analyze(session).await?;
        // Each page begins where the last one ended.
        session
            .run(format!(
                "CREATE INDEX IF NOT EXISTS tombolo_staging_row ON {STAGING} (\"row\")"
            ))
            .await?;
        let page = query(self.merge.conflicts())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit));
        let mut rows = page.fetch(session.raw());
        let mut conflicts = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows
            .try_next()
            .await
            .map_err(|error| error::at_work(&error))?
        {
            let position: i64 = column(&row, 0)?;
            let incoming = self.read_cells(&row, 1)?;
            let local = self.read_cells(&row, 1 + self.columns.len())?;
            bytes += size(&incoming) + size(&local);
            conflicts.push(StagedConflict {
                position: u64::try_from(position).unwrap_or_default(),
                incoming,
                local,
            });
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(conflicts)
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
                Ok(data) => decode::cell(column.kind.carrier, data, &mut scratch, position + 1)
                    .map_err(|error| self.unsuitable(error.to_string()))?,
            };
            cells.push(reread::reread(cell, &column.kind.logical, &column.incoming));
        }
        Ok(cells)
    }

    /// Takes rows out of the chunk or rewrites them.
    pub(super) async fn settle(
        &mut self,
        session: &mut Session,
        decisions: Vec<(u64, Decision)>,
    ) -> Result<(), DatabaseError> {
        let mut kept = Vec::new();
        let mut rewritten = BytesMut::new();
        let mut rewritten_rows = 0i64;
        start_copy(&mut rewritten);
        for (position, decision) in decisions {
            match decision {
                Decision::TakeIncoming => {}
                Decision::KeepLocal => kept.push(i64::try_from(position).unwrap_or(i64::MAX)),
                Decision::Write(cells) => {
                    if cells.len() != self.columns.len() {
                        return Err(self.unsuitable(format!(
                            "a decided row has {} cells instead of {}",
                            cells.len(),
                            self.columns.len()
                        )));
                    }
                    let cells = cells.iter().map(CellRef::from);
                    self.encode_rewritten(position, cells, &mut rewritten)?;
                    rewritten_rows += 1;
                }
            }
        }
        end_copy(&mut rewritten);
        if !kept.is_empty() {
            let removed = session
                .execute(
                    query(format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)"))
                        .bind(kept.clone()),
                )
                .await?;
            if usize::try_from(removed) != Ok(kept.len()) {
                return Err(
                    self.unsuitable("a decision is about a row that is not staged".to_owned())
                );
            }
            self.chunk.skipped += removed;
        }
        if rewritten_rows > 0 {
            self.copy(session, &rewritten).await?;
            self.replace(session, rewritten_rows).await?;
        }
        Ok(())
    }

    async fn replace(&self, session: &mut Session, rows: i64) -> Result<(), DatabaseError> {
        let row = session
            .row(query(self.merge.rewritten_with_same_key()))
            .await?;
        let unchanged: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
        if unchanged != rows {
            return Err(self.unsuitable(
                "a decided row has another key than the row it replaces, or replaces none"
                    .to_owned(),
            ));
        }
        session
            .run(format!(
                "DELETE FROM {STAGING} AS o USING {STAGING} AS n WHERE n.\"row\" = -o.\"row\" AND n.\"row\" < 0; \
                 UPDATE {STAGING} SET \"row\" = -\"row\" WHERE \"row\" < 0"
            ))
            .await
            .map(|_| ())
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
