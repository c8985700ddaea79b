//! Refuses runs in which rows would refer to keys that the target numbers anew.

use super::RunError;
use super::table::PreparedTable;
use crate::bindings::types::{Failure, ForeignKey};
use crate::database::PlanAction;
use crate::failure::{ErrorCode, failure};

/// Fails with `unsuitable-table` if a table of the run refers to keys of another one, or of its own, that the target numbers
/// anew: its rows would be attached to other rows.
pub fn check(tables: &[PreparedTable]) -> Result<(), RunError> {
    for parent in tables {
        let PlanAction::Renumber(key) = parent.write.plan.action() else {
            continue;
        };
        let regenerated: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        let mut children = tables.iter().filter_map(|child| {
            let mut keys = child.foreign_keys.iter();
            let key = keys.find(|key| refers(key, parent.name(), &regenerated))?;
            Some((child.name(), key))
        });
        if let Some((child, key)) = children.next() {
            return Err(RunError::at(parent.name())(refused(
                parent.name(),
                child,
                key,
                &regenerated,
            )));
        }
    }
    Ok(())
}

/// Whether a foreign key refers to one of the regenerated columns of a table, whose primary key they are.
fn refers(key: &ForeignKey, parent: &str, regenerated: &[&str]) -> bool {
    let is_regenerated = |name: &String| {
        let mut names = regenerated.iter();
        names.any(|own| own.eq_ignore_ascii_case(name))
    };
    key.referenced_table.eq_ignore_ascii_case(parent)
        && (key.referenced_columns.is_empty() || key.referenced_columns.iter().any(is_regenerated))
}

fn refused(parent: &str, child: &str, key: &ForeignKey, regenerated: &[&str]) -> Failure {
    failure(
        ErrorCode::UnsuitableTable,
        format!(
            "the strategy gives the rows of table {parent:?} new values of {}, to which {} of table {child:?} refers: its rows would be attached to other rows; nothing was written",
            regenerated.join(", "),
            key.columns.join(", ")
        ),
        format!(
            "choose a strategy for {parent} that keeps its keys, such as --strategy {parent}=skip, or pull {parent} without {child}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_to_regenerated_columns_count() {
        let key = |table: &str, columns: &[&str]| ForeignKey {
            columns: vec!["customer".to_owned()],
            referenced_table: table.to_owned(),
            referenced_columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(refers(&key("Customers", &[]), "customers", &["id"]));
        assert!(refers(&key("customers", &["ID"]), "customers", &["id"]));
        assert!(!refers(&key("customers", &["code"]), "customers", &["id"]));
        assert!(!refers(&key("others", &[]), "customers", &["id"]));
    }
}
