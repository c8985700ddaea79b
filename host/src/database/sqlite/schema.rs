//! What a SQLite database says about its tables, by its pragma functions.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::error::refused;
use super::origins;
use super::storage::LocalColumn;
use super::types::{Affinity, logical_of};
use crate::bindings::database::{TableKind, TableSummary};
use crate::bindings::types::{Column, ForeignKey, Generation, LogicalType, TableSchema};
use crate::database::DatabaseError;

/// A table with what only SQLite needs to know about it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) schema: TableSchema,
    /// For each column of `schema` how values are stored in it.
    pub(super) storage: Vec<LocalColumn>,
    /// The declared types of the same columns.
    pub(super) declared: Vec<String>,
    /// Sets of columns that no two rows share, the primary key first.
    pub(super) keys: Vec<Key>,
    pub(super) without_rowid: bool,
}

/// Columns that no two rows share, with the collations that say so; none for the rowid, which has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) columns: Vec<(String, Option<String>)>,
}

impl Table {
    /// A name that stands for the rowid, unless columns took all three or there is none.
    pub(super) fn rowid(&self) -> Option<&'static str> {
        let taken = |name: &str| {
            self.storage
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(name))
        };
        ["rowid", "_rowid_", "oid"]
            .into_iter()
            .find(|name| !self.without_rowid && !taken(name))
    }
}

/// Names that are SQLite's or Tombolo's own, and the tables behind virtual tables.
const VISIBLE: &str = r"schema = 'main' AND type <> 'shadow'
    AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'tombolo\_%' ESCAPE '\'";

/// All tables and views, sorted by name.
pub(super) async fn tables(
    connection: &mut SqliteConnection,
) -> Result<Vec<TableSummary>, DatabaseError> {
    let sql = format!("SELECT name, type FROM pragma_table_list WHERE {VISIBLE} ORDER BY name");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))?;
    rows.iter()
        .map(|row| {
            Ok(TableSummary {
                table: get(row, 0)?,
                kind: match get::<String>(row, 1)?.as_str() {
                    "table" => TableKind::Table,
                    "view" => TableKind::View,
                    kind => TableKind::Other(format!("{kind} table")),
                },
            })
        })
        .collect()
}

/// One table; `database` is its name for people.
pub(super) async fn table(
    connection: &mut SqliteConnection,
    database: &str,
    name: &str,
) -> Result<Table, DatabaseError> {
    let sql =
        format!("SELECT type, wr, strict FROM pragma_table_list WHERE {VISIBLE} AND name = ?");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(name.to_owned())
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    let (database, table) = (database.to_owned(), name.to_owned());
    let Some(found) = found else {
        return Err(DatabaseError::NotFound { database, table });
    };
    match get::<String>(&found, 0)?.as_str() {
        "table" => {}
        "view" => return Err(DatabaseError::View { database, table }),
        kind => {
            let reason =
                format!("it is a {kind} table, and only ordinary tables can be transferred");
            return Err(DatabaseError::Unsuitable { table, reason });
        }
    }
    let without_rowid: bool = get(&found, 1)?;
    let strict: bool = get(&found, 2)?;

    let indexes = indexes(connection, name).await?;
    let origins = origins::of_table(connection, name).await?;
    let rows = rows(
        connection,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1 ORDER BY cid",
        name,
    )
    .await?;

    let mut primary_key: Vec<(i64, String)> = Vec::new();
    for row in &rows {
        let position: i64 = get(row, 4)?;
        if position > 0 {
            primary_key.push((position, get(row, 0)?));
        }
    }
    primary_key.sort();
    let primary_key: Vec<String> = primary_key.into_iter().map(|(_, name)| name).collect();
    // A primary key without an index of its own is the rowid itself (INTEGER PRIMARY KEY, but not DESC).
    let rowid_key = primary_key
        .first()
        .filter(|_| !without_rowid && !indexes.iter().any(|index| index.primary));

    let mut columns = Vec::with_capacity(rows.len());
    let mut storage = Vec::with_capacity(rows.len());
    let mut declared_types = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: String = get(row, 0)?;
        let declared: String = get(row, 1)?;
        let rowid = rowid_key == Some(&name);
        let affinity = Affinity::of(&declared, strict);
        let kept = origins.get(&name);
        let origin = kept.map(|kept| kept.origin.clone()).unwrap_or_else(|| {
            // Only STRICT gives this word its meaning; elsewhere a column without a type is the same.
            let any = strict && declared.eq_ignore_ascii_case("any");
            format!("sqlite:{}", if any { "" } else { &declared })
        });
        storage.push(LocalColumn {
            name: name.clone(),
            affinity,
            rowid,
            keeps_float_bits: affinity == Affinity::Real && origin.starts_with("pg:"),
        });
        columns.push(Column {
            logical: match logical_of(&origin) {
                // A type made by users, such as a domain: how it is stored says how it is read.
                LogicalType::Other(_) if affinity != Affinity::Text => {
                    logical_of(&format!("sqlite:{declared}"))
                }
                logical => logical,
            },
            origin,
            nullable: !get::<bool>(row, 2)?,
            default: get(row, 3)?,
            generation: match get::<i64>(row, 5)? {
                2 | 3 => Generation::Computed,
                // SQLite numbers every rowid, also where the column was made for one that nobody numbered.
                _ if rowid && kept.is_none_or(|kept| kept.numbered) => Generation::IdentityDefault,
                _ => Generation::None,
            },
            name,
        });
        declared_types.push(declared);
    }

    let mut keys: Vec<Key> = rowid_key
        .map(|name| Key {
            columns: vec![(name.clone(), None)],
        })
        .into_iter()
        .collect();
    keys.extend(
        indexes
            .iter()
            .filter(|index| index.primary)
            .map(|index| index.key.clone()),
    );
    let unique: Vec<Key> = indexes
        .into_iter()
        .filter(|index| !index.primary)
        .map(|index| index.key)
        .collect();
    let unique_keys = unique
        .iter()
        .map(|key| key.columns.iter().map(|(name, _)| name.clone()).collect())
        .collect();
    keys.extend(unique);

    Ok(Table {
        schema: TableSchema {
            table,
            columns,
            primary_key,
            unique_keys,
            foreign_keys: foreign_keys(connection, name).await?,
            enums: Vec::new(),
        },
        storage,
        declared: declared_types,
        keys,
        without_rowid,
    })
}

struct UniqueIndex {
    primary: bool,
    key: Key,
}

/// Full unique indexes over plain columns, in the order they were made.
async fn indexes(
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
        let parts = rows(
            connection,
            "SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno",
            &name,
        )
        .await?;
        let mut columns = Vec::with_capacity(parts.len());
        for part in &parts {
            // An expression has no name.
            if let Some(column) = get::<Option<String>>(part, 0)? {
                columns.push((column, get(part, 1)?));
            }
        }
        if columns.len() == parts.len() {
            indexes.push(UniqueIndex {
                primary: get(&row, 1)?,
                key: Key { columns },
            });
        }
    }
    Ok(indexes)
}

/// Foreign keys in the order of their declaration, with the tables' names as their owners spell them.
async fn foreign_keys(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<ForeignKey>, DatabaseError> {
    let parts = rows(
        connection,
        "SELECT f.id, coalesce(l.name, f.\"table\"), f.\"from\", f.\"to\"
         FROM pragma_foreign_key_list(?, 'main') AS f
         LEFT JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = f.\"table\" COLLATE NOCASE
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

/// The foreign keys of all tables that refer to one and do nothing when it changes, each with its table.
pub(super) async fn referring(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<(String, ForeignKey)>, DatabaseError> {
    let tables = rows(
        connection,
        "SELECT DISTINCT l.name FROM pragma_table_list AS l, pragma_foreign_key_list(l.name, 'main') AS f
         WHERE l.schema = 'main' AND l.type = 'table' AND f.\"table\" = ? COLLATE NOCASE AND f.on_update = 'NO ACTION'",
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

/// The answer to a question about one name.
pub(super) async fn rows(
    connection: &mut SqliteConnection,
    sql: &'static str,
    name: &str,
) -> Result<Vec<SqliteRow>, DatabaseError> {
    sqlx::query(sql)
        .bind(name.to_owned())
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))
}

/// One value; names that are no UTF-8 end here.
pub(super) fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|error| refused(&error))
}
