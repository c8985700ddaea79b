//! Resolves conflicts row by row: pages of conflicting rows go to a component, and its decisions are checked.

use super::decisions::SentColumns;
use crate::bindings::conflicts::{Conflict, Decision};
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Cell, Error, Failure, TableSchema};
use crate::database::{DatabaseError, Resolution, StagedConflict, TableWriter};
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;
use crate::rows::format_primary_key;
use crate::sandbox::ConflictStrategies;

/// The most conflicts of one call of a component.
pub const PAGE: u32 = 500;

/// Resolves conflicting rows of one table by the decisions of a component.
pub struct Resolver {
    component: ConflictStrategies,
    strategy: String,
    params: Vec<(String, String)>,
    incoming: TableSchema,
    columns: SentColumns,
}

/// Why the conflicts of a chunk could not be resolved.
pub enum ResolveError {
    /// The database failed.
    Database(DatabaseError),
    /// The component failed, or its decision cannot be carried out.
    Component(Failure),
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Database(error) => error.into(),
            ResolveError::Component(failure) => failure,
        }
    }
}

impl Resolver {
    /// Returns a resolver for the table of an instruction, whose rows the component finds by `key`.
    pub fn new(
        component: ConflictStrategies,
        instruction: &TableInstruction,
        key: &[String],
    ) -> Self {
        Self {
            component,
            strategy: instruction.strategy.clone(),
            params: instruction.params.clone(),
            columns: SentColumns::of(&instruction.incoming, key),
            incoming: instruction.incoming.clone(),
        }
    }

    /// Resolves all of the chunk's conflicts, page by page; the database looks for the next page meanwhile.
    pub async fn resolve(&self, writer: &mut dyn TableWriter) -> Result<(), ResolveError> {
        let mut page = writer
            .conflicts(PAGE)
            .await
            .map_err(ResolveError::Database)?;
        while !page.is_empty() {
            let (next, resolutions) = tokio::join!(writer.conflicts(PAGE), self.decide(page));
            page = next.map_err(ResolveError::Database)?;
            let resolutions = resolutions.map_err(ResolveError::Component)?;
            let resolved = writer.resolve(resolutions).await;
            resolved.map_err(|error| self.blame(error))?;
        }
        Ok(())
    }

    async fn decide(&self, page: Vec<StagedConflict>) -> Result<Vec<(u64, Resolution)>, Failure> {
        let (positions, conflicts): (Vec<u64>, Vec<Conflict>) = page
            .into_iter()
            .map(
                |StagedConflict {
                     position,
                     incoming,
                     local,
                 }| (position, Conflict { incoming, local }),
            )
            .unzip();
        let resolutions = self.ask(&conflicts).await?;
        Ok(positions.into_iter().zip(resolutions).collect())
    }

    /// Asks the component for one decision each, in order; at most [`PAGE`].
    ///
    /// Fails with `plugin` and the row if it does not decide, or if a decision cannot be carried out.
    pub async fn ask(&self, conflicts: &[Conflict]) -> Result<Vec<Resolution>, Failure> {
        let decisions = match self.call(conflicts).await? {
            Ok(decisions) => decisions,
            Err(error) => return Err(self.undecided(conflicts, error).await?),
        };
        let decided = conflicts.iter().zip(decisions);
        decided
            .map(|(conflict, decision)| {
                let resolution = self.columns.check(decision, conflict);
                resolution.map_err(|what| self.broken(Some(&conflict.incoming), &what))
            })
            .collect()
    }

    /// Calls the component. Fails if it does not answer, or with another number of decisions.
    async fn call(&self, conflicts: &[Conflict]) -> Result<Result<Vec<Decision>, Error>, Failure> {
        let answer = self
            .component
            .decide(&self.strategy, &self.params, &self.incoming, conflicts)
            .await?;
        match &answer {
            Ok(decisions) if decisions.len() != conflicts.len() => Err(self.broken(
                None,
                &format!(
                    "it gave {} decisions for {} conflicts",
                    decisions.len(),
                    conflicts.len()
                ),
            )),
            _ => Ok(answer),
        }
    }

    /// Returns the failure for conflicts that the component did not decide. Halves of them are asked about until one row
    /// is left: a component answers for a page and does not say which of its rows it means.
    async fn undecided(&self, conflicts: &[Conflict], error: Error) -> Result<Failure, Failure> {
        let (mut among, mut error) = (conflicts, error);
        while among.len() > 1 {
            let (first, second) = among.split_at(among.len() / 2);
            if let Err(of_first) = self.call(first).await? {
                (among, error) = (first, of_first);
            } else if let Err(of_second) = self.call(second).await? {
                (among, error) = (second, of_second);
            } else {
                break;
            }
        }
        let reason = Failure::from(error).message;
        let row = match among {
            [conflict] => Some(conflict.incoming.as_slice()),
            _ => None,
        };
        Ok(self.broken(row, &reason))
    }

    /// Blames the component for a resolution that the target cannot carry out.
    fn blame(&self, error: DatabaseError) -> ResolveError {
        match error {
            DatabaseError::Unsuitable { reason, .. } => {
                ResolveError::Component(self.broken(None, &reason))
            }
            error => ResolveError::Database(error),
        }
    }

    /// The failure of the component, at a row if it is known.
    fn broken(&self, row: Option<&[Cell]>, what: &str) -> Failure {
        let plugin = self.component.plugin();
        let key = row.map(|row| format_primary_key(&self.incoming, row));
        let row = match key.as_deref() {
            None | Some("") => String::new(),
            Some(key) => format!(", row {}", printable(key)),
        };
        failure(
            ErrorCode::Plugin,
            format!(
                "plugin {:?} (sha256:{}) failed in strategy {:?}, table {:?}{row}: {}",
                plugin.name(),
                plugin.digest().prefix(),
                self.strategy,
                self.incoming.table,
                printable(what),
            ),
            "report it to the plugin's author; nothing of this chunk was kept",
        )
    }
}
