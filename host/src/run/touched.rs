//! Tables whose rows the triggers of other tables of the run changed after they were verified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bindings::types::{Stored, TableReport};

/// What the triggers of a run's tables did to other tables.
#[derive(Debug, Default)]
pub struct TouchedTables {
    /// By table, the triggers that changed its rows since it was begun.
    triggers: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl TouchedTables {
    fn triggers(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a table begins: what was changed before is written over, or verified with it.
    pub(super) fn begin(&self, table: &str) {
        self.triggers().remove(table);
    }

    /// Says that a table's triggers changed rows of others.
    pub(super) fn touch(&self, others: &[String], triggers: &[String]) {
        let mut known = self.triggers();
        for other in others {
            let names = known.entry(other.clone()).or_default();
            names.extend(triggers.iter().cloned());
        }
    }

    /// Corrects what reports say of rows that were verified and changed afterwards.
    pub(super) fn correct<'a>(&self, reports: impl Iterator<Item = &'a mut TableReport>) {
        let known = self.triggers();
        for report in reports {
            let Some(names) = known.get(&report.table) else {
                continue;
            };
            let names = names.iter().cloned();
            match &mut report.stored {
                Stored::ChangedBy(triggers) => triggers.extend(names),
                stored @ Stored::Verified => *stored = Stored::ChangedBy(names.collect()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(table: &str, stored: Stored) -> TableReport {
        TableReport {
            table: table.to_owned(),
            created: 1,
            updated: 0,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: 0,
            snapshots: 1,
            stored,
            changed: Vec::new(),
        }
    }

    #[test]
    fn rows_that_changed_after_they_were_verified_are_not_called_verified() {
        let touched = TouchedTables::default();
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        touched.touch(&names(&["early", "late"]), &names(&["count"]));
        touched.begin("late");
        let unverified = Stored::Unverified("why".to_owned());
        let mut reports = [
            report("early", Stored::Verified),
            report("late", Stored::Verified),
            report("early", unverified.clone()),
        ];
        touched.correct(reports.iter_mut());
        let stored: Vec<_> = reports.into_iter().map(|report| report.stored).collect();
        assert_eq!(
            stored,
            [
                Stored::ChangedBy(names(&["count"])),
                Stored::Verified,
                unverified
            ]
        );
    }
}
