//! Primary keys, unique indexes and foreign keys of a table.

use sqlx::SqliteConnection;

use super::{get, rows};
use crate::bindings::types::ForeignKey;
use crate::database::DatabaseError;

/// Columns that no two rows have equal, each with the collation that decides what is equal; a rowid has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The columns' names and collations.
    pub columns: Vec<(String, Option<String>)>,
}

/// A full unique index over plain columns.
pub struct UniqueIndex {
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Its columns.
    pub key: Key,
}

/// Returns the unique indexes over plain columns that are not partial, in the order of their creation.
pub async fn indexes(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<UniqueIndex>, DatabaseError> {
    let list = rows(
        connection,
        "SELECT name, origin = 'pk' FROM pragma_index_list(?, 'main') WHERE \"unique\" AND NOT partial ORDER BY seq DESC",
        table,
    )
    .await?;
    let mut indexes = Vec::with_capacity(list.len());
    for row in list {
        let name: String = get(&row, 0)?;
        let (columns, has_expressions) = indexed(connection, &name).await?;
        if !has_expressions {
            indexes.push(UniqueIndex {
                primary: get(&row, 1)?,
                key: Key { columns },
            });
        }
    }
    Ok(indexes)
}

/// A unique index of any kind, as its rows depend on the table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniqueValues {
    /// Its columns, without the expressions.
    pub columns: Vec<String>,
    /// Its statement, if it depends on more than these columns: it is partial, or has expressions.
    pub depends: Option<String>,
}

/// Returns all unique indexes of a table, those of expressions and of parts of its rows included.
pub async fn unique_indexes(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<UniqueValues>, DatabaseError> {
    let list = rows(
        connection,
        "SELECT i.name, i.partial, l.sql FROM pragma_index_list(?, 'main') AS i
         LEFT JOIN main.sqlite_schema AS l ON l.type = 'index' AND l.name = i.name
         WHERE i.\"unique\" ORDER BY i.seq",
        table,
    )
    .await?;
    let mut indexes = Vec::with_capacity(list.len());
    for row in list {
        let name: String = get(&row, 0)?;
        let (columns, has_expressions) = indexed(connection, &name).await?;
        let depends = has_expressions || get::<bool>(&row, 1)?;
        let sql: Option<String> = get(&row, 2)?;
        indexes.push(UniqueValues {
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            depends: sql.filter(|_| depends),
        });
    }
    Ok(indexes)
}

/// Returns the columns of an index with their collations, and whether it has expressions besides.
async fn indexed(
    connection: &mut SqliteConnection,
    index: &str,
) -> Result<(Vec<(String, Option<String>)>, bool), DatabaseError> {
    let parts = rows(
        connection,
        "SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno",
        index,
    )
    .await?;
    let mut columns = Vec::with_capacity(parts.len());
    for part in &parts {
        // An indexed expression has no name.
        if let Some(column) = get::<Option<String>>(part, 0)? {
            columns.push((column, get(part, 1)?));
        }
    }
    let has_expressions = columns.len() < parts.len();
    Ok((columns, has_expressions))
}

/// Returns a table's foreign keys in the order of their declaration. Referenced tables are spelled as they were created.
pub async fn foreign_keys(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<ForeignKey>, DatabaseError> {
    let parts = rows(
        connection,
        "SELECT f.id, coalesce(l.name, f.\"table\"), f.\"from\", f.\"to\"
         FROM pragma_foreign_key_list(?, 'main') AS f
         LEFT JOIN main.sqlite_schema AS l ON l.type IN ('table', 'view') AND l.name = f.\"table\" COLLATE NOCASE
         ORDER BY f.id DESC, f.seq",
        table,
    )
    .await?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for part in &parts {
        let id = get(part, 0)?;
        if keys.last().map(|(last, _)| *last) != Some(id) {
            let key = ForeignKey {
                columns: Vec::new(),
                referenced_table: get(part, 1)?,
                referenced_columns: Vec::new(),
            };
            keys.push((id, key));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(get(part, 2)?);
            key.referenced_columns
                .extend(get::<Option<String>>(part, 3)?);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Returns the foreign keys, each with its table, that refer to a table and are `ON UPDATE NO ACTION`.
pub async fn referring(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<(String, ForeignKey)>, DatabaseError> {
    let tables = rows(
        connection,
        "SELECT DISTINCT l.name FROM main.sqlite_schema AS l, pragma_foreign_key_list(l.name, 'main') AS f
         WHERE l.type = 'table' AND l.rootpage > 0 AND f.\"table\" = ? COLLATE NOCASE AND f.on_update = 'NO ACTION'",
        table,
    )
    .await?;
    let mut keys = Vec::new();
    for row in &tables {
        let child: String = get(row, 0)?;
        for key in foreign_keys(connection, &child).await? {
            if key.referenced_table.eq_ignore_ascii_case(table) {
                keys.push((child.clone(), key));
            }
        }
    }
    Ok(keys)
}
