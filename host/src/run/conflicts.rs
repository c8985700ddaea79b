//! Rows that a component decides on one by one.

use crate::bindings::conflicts::{Conflict, Decision as Answer};
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Cell, Failure, TableSchema};
use crate::database::{DatabaseError, Decision, StagedConflict, Target};
use crate::failure::{ErrorCode, failure};
use crate::sandbox::ConflictStrategies;

/// The most conflicts a component is shown at once.
const PAGE: u32 = 500;

/// A component that decides on conflicting rows of one table.
pub struct Resolver {
    component: ConflictStrategies,
    strategy: String,
    params: Vec<(String, String)>,
    incoming: TableSchema,
    /// Where the key's cells are in a row.
    key: Vec<usize>,
}

/// Why the conflicts of a chunk could not be settled.
pub enum ResolveError {
    /// The database did not do its part.
    Database(DatabaseError),
    /// The component failed, or what it decided cannot be done.
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
    /// A component that calls itself row by row for this table, whose rows it finds by this key.
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

    /// Decides on all of the chunk's conflicts, page by page; the database looks for the next page meanwhile.
    pub async fn resolve(&self, target: &mut dyn Target) -> Result<(), ResolveError> {
        let mut page = target
            .conflicts(PAGE)
            .await
            .map_err(ResolveError::Database)?;
        while !page.is_empty() {
            let (next, decisions) = tokio::join!(target.conflicts(PAGE), self.decide(page));
            page = next.map_err(ResolveError::Database)?;
            let decisions = decisions.map_err(ResolveError::Component)?;
            let settled = target.resolve(decisions).await;
            settled.map_err(|error| self.blame(error))?;
        }
        Ok(())
    }

    /// One decision each, in order.
    async fn decide(&self, page: Vec<StagedConflict>) -> Result<Vec<(u64, Decision)>, Failure> {
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
        let answers = self
            .component
            .decide(&self.strategy, &self.params, &self.incoming, &conflicts)
            .await??;
        if answers.len() != positions.len() {
            return Err(self.broken(&format!(
                "it gave {} decisions for {} conflicts",
                answers.len(),
                positions.len()
            )));
        }
        let decided = conflicts.iter().zip(answers);
        positions
            .into_iter()
            .zip(decided)
            .map(|(position, (conflict, answer))| {
                let decision = checked(answer, &conflict.incoming, &self.key);
                Ok((position, decision.map_err(|what| self.broken(what))?))
            })
            .collect()
    }

    /// A decision that the target cannot carry out is the component's fault.
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
            "the plugin's author has to mend it; nothing of this chunk was kept",
        )
    }
}

/// The decision, if it can be carried out for this row.
fn checked(answer: Answer, incoming: &[Cell], key: &[usize]) -> Result<Decision, &'static str> {
    match answer {
        Answer::KeepLocal => Ok(Decision::KeepLocal),
        Answer::TakeIncoming => Ok(Decision::TakeIncoming),
        Answer::Write(row) if row.len() != incoming.len() => Err("it wrote a row of another width"),
        Answer::Write(row) => {
            let same = |position: &usize| match (row.get(*position), incoming.get(*position)) {
                (Some(written), Some(incoming)) => is_same(written, incoming),
                _ => false,
            };
            match key.iter().all(same) {
                true => Ok(Decision::Write(row)),
                false => Err("it wrote a row with another key than the incoming one"),
            }
        }
        Answer::Other(_) => Err("its decision is of a newer version"),
    }
}

/// Cells of the same image; of doubles the bits count.
fn is_same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Real(one), Cell::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Cell]) -> Answer {
        Answer::Write(cells.to_vec())
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
        let decision = checked(row(&other), &incoming, &key);
        assert!(
            matches!(decision, Ok(Decision::Write(cells)) if cells.get(1) == Some(&Cell::Null))
        );
        other[0] = Cell::Text("1".to_owned());
        let refused = checked(row(&other), &incoming, &key);
        assert_eq!(
            refused,
            Err("it wrote a row with another key than the incoming one")
        );
        let refused = checked(row(&incoming[..2]), &incoming, &[]);
        assert_eq!(refused, Err("it wrote a row of another width"));
    }

    #[test]
    fn minus_zero_is_another_key_than_zero() {
        assert!(checked(row(&[Cell::Real(-0.0)]), &[Cell::Real(0.0)], &[0]).is_err());
        assert!(checked(row(&[Cell::Real(0.0)]), &[Cell::Real(0.0)], &[0]).is_ok());
    }
}
