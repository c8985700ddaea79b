//! Finds the rejected rows of a run that rows of a table may refer to.

use super::retry_context::RetryContext;
use crate::bindings::types::{ForeignKey, TableSchema};
use crate::database::{DatabaseError, ParentKey, RejectedParents, Target};
use crate::rows::{CellRef, RowBlock};

/// Returns what the run rejected of the tables that these foreign keys of a table refer to. `retry`: the table's own rejects
/// are about to arrive again.
pub async fn find(
    target: &mut dyn Target,
    run: &str,
    table: &TableSchema,
    keys: &[ForeignKey],
    retry: bool,
) -> Result<RejectedParents, DatabaseError> {
    let mut found = RejectedParents::default();
    for key in keys {
        let own = key.referenced_table == table.table;
        let entry = match target.ledger_entry(run, &key.referenced_table).await? {
            Some(entry) if own || entry.counts.failed > 0 => Some(entry),
            _ if own => None,
            _ => continue,
        };
        let parent = match &entry {
            _ if own => Some(table.clone()),
            Some(entry) => serde_json::from_str::<RetryContext>(&entry.retry_context)
                .ok()
                .map(|kept| kept.incoming),
            None => None,
        };
        let parent_key = parent.and_then(|parent| ParentKey::new(table, key, &parent));
        let Some(mut parent_key) = parent_key else {
            continue;
        };
        if entry.is_some_and(|entry| entry.counts.failed > 0) && !(own && retry) {
            let kept = target.kept_rejects(&key.referenced_table).await?;
            for reject in kept.iter().filter(|reject| reject.run == run) {
                let cells = RowBlock::parse_row(&reject.cells).unwrap_or_default();
                parent_key.reject(cells.iter().map(CellRef::from));
            }
        }
        found.add(parent_key);
    }
    Ok(found)
}
