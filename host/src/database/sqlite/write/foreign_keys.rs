//! Queries for staged rows that violate foreign keys.

use sqlx::SqliteConnection;

use super::merge_sql::Merge;
use crate::database::sqlite::catalog::{self, Table, constraints};
use crate::database::{DatabaseError, quote};

/// A query for rows that violate one foreign key.
#[derive(Debug)]
pub struct ForeignKeyCheck {
    /// Why such rows are rejected.
    pub reason: String,
    /// Selects the numbers of such rows; its parameter is the most rows to return.
    pub sql: String,
}

/// The checks of one table's foreign keys, and of those that refer to it.
#[derive(Debug, Default)]
pub struct ForeignKeys {
    /// Staged rows whose parent exists neither in the table nor in the staging.
    pub staged: Vec<ForeignKeyCheck>,
    /// For a commit that failed: staged rows whose row in the table refers to nothing.
    pub orphans: Vec<ForeignKeyCheck>,
    /// For a commit that failed: staged rows that, before they are written, would change what other rows refer to.
    pub abandoning: Vec<ForeignKeyCheck>,
}

impl ForeignKeys {
    /// Returns true if a commit never fails because of them.
    pub fn are_never_deferred(&self) -> bool {
        self.orphans.is_empty() && self.abandoning.is_empty()
    }
}

/// Returns the checks of a table for rows with these incoming columns; `database` is the name for messages.
pub async fn checks(
    connection: &mut SqliteConnection,
    database: &str,
    local: &Table,
    incoming: &[String],
    merge: &Merge,
) -> Result<ForeignKeys, DatabaseError> {
    let mut checks = ForeignKeys::default();
    for key in &local.schema.foreign_keys {
        let parent = &key.referenced_table;
        let own = parent.eq_ignore_ascii_case(&local.schema.table);
        let mut referenced = key.referenced_columns.clone();
        if referenced.is_empty() {
            referenced = match catalog::table(connection, database, parent).await {
                Ok(parent) => parent.schema.primary_key,
                // SQLite itself refuses rows that refer to such a parent.
                Err(DatabaseError::NotFound { .. } | DatabaseError::View { .. }) => continue,
                Err(DatabaseError::Unsuitable { .. }) => continue,
                Err(error) => return Err(error),
            };
        }
        if key.columns.len() != referenced.len() {
            continue;
        }
        let reason = format!(
            "there is no row in table {parent:?} that {} refers to",
            key.columns.join(", ")
        );
        if let Some(sql) = merge.without_parent(&key.columns, parent, &referenced) {
            let reason = reason.clone();
            checks.orphans.push(ForeignKeyCheck { reason, sql });
        }
        let position = |name: &String| {
            incoming
                .iter()
                .position(|arriving| arriving.eq_ignore_ascii_case(name))
        };
        let child: Option<Vec<_>> = key.columns.iter().map(position).collect();
        let Some(child) = child else {
            continue;
        };
        // A parent may be staged together with its child.
        let staged: Option<Vec<_>> = referenced.iter().map(position).collect();
        checks.staged.push(ForeignKeyCheck {
            reason,
            sql: missing(merge, parent, &child, &referenced, staged.filter(|_| own)),
        });
    }
    if merge.updates() {
        checks.abandoning = referring(connection, local, merge).await?;
    }
    Ok(checks)
}

/// Returns the checks of foreign keys that refer to columns of the table that the plan changes.
async fn referring(
    connection: &mut SqliteConnection,
    local: &Table,
    merge: &Merge,
) -> Result<Vec<ForeignKeyCheck>, DatabaseError> {
    let mut checks = Vec::new();
    for (child, key) in constraints::referring(connection, &local.schema.table).await? {
        let mut referenced = key.referenced_columns;
        if referenced.is_empty() {
            referenced.clone_from(&local.schema.primary_key);
        }
        let sql = merge.abandons(&child, &key.columns, &referenced);
        checks.extend(sql.map(|sql| ForeignKeyCheck {
            reason: format!(
                "rows in table {child:?} refer to its local value of {}",
                referenced.join(", ")
            ),
            sql,
        }));
    }
    Ok(checks)
}

fn missing(
    merge: &Merge,
    parent: &str,
    child: &[usize],
    referenced: &[String],
    staged: Option<Vec<usize>>,
) -> String {
    let list = |columns: &mut dyn Iterator<Item = String>| columns.collect::<Vec<_>>().join(", ");
    let given: Vec<_> = child
        .iter()
        .map(|index| format!("s.c{index} IS NOT NULL"))
        .collect();
    let same: Vec<_> = referenced
        .iter()
        .zip(child)
        .map(|(name, index)| format!("p.{} = s.c{index}", quote(name)))
        .collect();
    let mut sql = format!(
        "SELECT s.row FROM temp.tombolo_staging AS s WHERE {} AND NOT EXISTS (SELECT 1 FROM main.{} AS p WHERE {})",
        given.join(" AND "),
        quote(parent),
        same.join(" AND ")
    );
    if let Some(staged) = staged {
        let complete: Vec<_> = staged
            .iter()
            .map(|index| format!("c{index} IS NOT NULL"))
            .collect();
        sql.push_str(&format!(
            " AND ({}) NOT IN (SELECT {} FROM temp.tombolo_staging WHERE {})",
            list(&mut child.iter().map(|index| format!("s.c{index}"))),
            list(&mut staged.iter().map(|index| format!("c{index}"))),
            complete.join(" AND ")
        ));
    }
    // Rows that exist keep the values that refer to a parent.
    if let Some(new) = merge.new_only(child) {
        sql.push_str(&format!(" AND {new}"));
    }
    sql.push_str(" ORDER BY s.row LIMIT ?");
    sql
}
