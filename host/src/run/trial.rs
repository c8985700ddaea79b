//! Asks a row-by-row strategy about the rows that a comparison finds, and counts its decisions. Nothing is written.

use super::conflicts::{PAGE, Resolver};
use crate::bindings::conflicts::Conflict;
use crate::bindings::transfers::DecidedRows;
use crate::bindings::types::Failure;
use crate::database::Resolution;
use crate::rows::RowBlock;

/// The most bytes of the peer's rows that are kept at a time until the local ones are read.
const MAX_KEPT_BYTES: usize = 32 << 20;

/// The most bytes of the peer's rows in one call of a component.
const PAGE_BYTES: usize = 1 << 20;

/// The decisions about one table.
pub struct Trial<'a> {
    resolver: &'a Resolver,
    /// What the component is asked about next, and how many bytes of it came from the peer.
    waiting: (Vec<Conflict>, usize),
    /// Bytes of the peer's rows that are kept.
    kept: usize,
    decided: DecidedRows,
}

impl<'a> Trial<'a> {
    /// Nothing is decided yet.
    pub fn new(resolver: &'a Resolver) -> Self {
        Self {
            resolver,
            waiting: (Vec::new(), 0),
            kept: 0,
            decided: DecidedRows {
                keep_local: 0,
                take_incoming: 0,
                write: 0,
                not_asked: 0,
            },
        }
    }

    /// Returns a copy of a row from the peer; none if too much is kept already.
    pub fn keep(&mut self, row: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept.saturating_add(row.len());
        (kept <= MAX_KEPT_BYTES).then(|| {
            self.kept = kept;
            row.to_vec()
        })
    }

    /// Forgets how much was kept, because nothing is any more.
    pub fn begin_pass(&mut self) {
        self.kept = 0;
    }

    /// Adds a row that is on both sides. `incoming` is none if it was not kept.
    pub fn add(&mut self, incoming: Option<&[u8]>, local: &[u8]) {
        let parsed = incoming.and_then(|incoming| {
            Some(Conflict {
                incoming: RowBlock::parse_row(incoming)?,
                local: RowBlock::parse_row(local)?,
            })
        });
        match parsed {
            Some(conflict) => {
                self.waiting.0.push(conflict);
                self.waiting.1 += incoming.map_or(0, <[u8]>::len);
            }
            None => self.decided.not_asked += 1,
        }
    }

    /// Asks about the rows that were added, page by page.
    ///
    /// Fails as [`Resolver::ask`] does.
    pub async fn ask(&mut self) -> Result<(), Failure> {
        let (waiting, bytes) = std::mem::take(&mut self.waiting);
        let pages = bytes / PAGE_BYTES + 1;
        let page = (waiting.len() / pages).clamp(1, PAGE as usize);
        for conflicts in waiting.chunks(page) {
            for resolution in self.resolver.ask(conflicts).await? {
                match resolution {
                    Resolution::KeepLocal => self.decided.keep_local += 1,
                    Resolution::TakeIncoming => self.decided.take_incoming += 1,
                    Resolution::Write(_) => self.decided.write += 1,
                }
            }
        }
        Ok(())
    }

    /// Returns the decisions.
    pub fn decided(self) -> DecidedRows {
        self.decided
    }
}
