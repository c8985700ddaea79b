//! Resolves conflicts row by row: pages of conflicting rows go to a component, and its decisions are checked.

use crate::bindings::conflicts::{Conflict, Decision};
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Cell, Failure, TableSchema};
use crate::database::{DatabaseError, Resolution, StagedConflict, TableWriter};
use crate::failure::{ErrorCode, failure};
use crate::sandbox::ConflictStrategies;

/// The most conflicts of one call of a component.
const PAGE: u32 = 500;

/// Resolves conflicting rows of one table by the decisions of a component.
pub struct Resolver {
    component: ConflictStrategies,
    strategy: String,
    params: Vec<(String, String)>,
    incoming: TableSchema,
    /// Where the key's cells are in a row.
    key: Vec<usize>,
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
        let columns = instruction.incoming.columns.iter().enumerate();
        let key = columns.filter(|(_, column)| key.contains(&column.name));
        Self {
            component,
            strategy: instruction.strategy.clone(),
            params: instruction.params.clone(),
            key: key.map(|(position, _)| position).collect(),
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

    /// Asks the component for one decision each, in order.
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
        let decisions = self
            .component
            .decide(&self.strategy, &self.params, &self.incoming, &conflicts)
            .await??;
        if decisions.len() != positions.len() {
            return Err(self.broken(&format!(
                "it gave {} decisions for {} conflicts",
                decisions.len(),
                positions.len()
            )));
        }
        let decided = conflicts.iter().zip(decisions);
        positions
            .into_iter()
            .zip(decided)
            .map(|(position, (conflict, decision))| {
                let resolution = checked(decision, &conflict.incoming, &self.key);
                Ok((position, resolution.map_err(|what| self.broken(what))?))
            })
            .collect()
    }

    /// Blames the component for a resolution that the target cannot carry out.
    fn blame(&self, error: DatabaseError) -> ResolveError {
        match error {
            DatabaseError::Unsuitable { reason, .. } => {
                ResolveError::Component(self.broken(&reason))
            }
            error => ResolveError::Database(error),
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let plugin = self.component.plugin();
        failure(
            ErrorCode::Plugin,
            format!(
                "plugin {:?} (sha256:{}) failed in strategy {:?}: {what}",
                plugin.name(),
                plugin.digest().prefix(),
                self.strategy
            ),
            "report it to the plugin's author; nothing of this chunk was kept",
        )
    }
}

/// Returns what a decision means for this row, if it can be carried out.
fn checked(
    decision: Decision,
    incoming: &[Cell],
    key: &[usize],
) -> Result<Resolution, &'static str> {
    match decision {
        Decision::KeepLocal => Ok(Resolution::KeepLocal),
        Decision::TakeIncoming => Ok(Resolution::TakeIncoming),
        Decision::Write(row) if row.len() != incoming.len() => {
            Err("it wrote a row with another number of cells")
        }
        Decision::Write(row) => {
            let same = |position: &usize| match (row.get(*position), incoming.get(*position)) {
                (Some(written), Some(incoming)) => is_same(written, incoming),
                _ => false,
            };
            match key.iter().all(same) {
                true => Ok(Resolution::Write(row)),
                false => Err("it wrote a row with another key than the incoming row has"),
            }
        }
        Decision::Other(_) => Err("its decision needs a newer version of tombolo"),
    }
}

/// Returns true for cells of the same image; doubles are compared by their bits.
fn is_same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Real(one), Cell::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Cell]) -> Decision {
        Decision::Write(cells.to_vec())
    }

    #[test]
    fn a_written_row_keeps_its_width_and_its_key() {
        let incoming = [
            Cell::Integer(1),
            Cell::Text("a".to_owned()),
            Cell::Real(f64::NAN),
        ];
        let key = [0, 2];
        let mut other = incoming.clone();
        other[1] = Cell::Null;
        let resolution = checked(row(&other), &incoming, &key);
        assert!(
            matches!(resolution, Ok(Resolution::Write(cells)) if cells.get(1) == Some(&Cell::Null))
        );
        other[0] = Cell::Text("1".to_owned());
        let refused = checked(row(&other), &incoming, &key);
        assert_eq!(
            refused,
            Err("it wrote a row with another key than the incoming row has")
        );
        let refused = checked(row(&incoming[..2]), &incoming, &[]);
        assert_eq!(refused, Err("it wrote a row with another number of cells"));
    }

    #[test]
    fn minus_zero_is_another_key_than_zero() {
        assert!(checked(row(&[Cell::Real(-0.0)]), &[Cell::Real(0.0)], &[0]).is_err());
        assert!(checked(row(&[Cell::Real(0.0)]), &[Cell::Real(0.0)], &[0]).is_ok());
    }
}
