//! The tables of a SQLite database, as its pragma functions describe them.

pub mod constraints;
pub mod origins;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use self::constraints::Key;
use crate::bindings::database::{TableKind, TableSummary};
use crate::bindings::types::{Column, Generation, LogicalType, TableSchema};
use crate::database::sqlite::codec::storage::LocalColumn;
use crate::database::sqlite::codec::types::Affinity;
use crate::database::sqlite::error::refused;
use crate::database::{DatabaseError, Origin, logical_of};

/// A table, with what only SQLite needs to know about it.
#[derive(Clone, Debug)]
pub struct Table {
    /// The table, as for any database.
    pub schema: TableSchema,
    /// How values are stored, for each column of `schema`.
    pub storage: Vec<LocalColumn>,
    /// The declared type of each column of `schema`.
    pub declared: Vec<String>,
    /// The primary key, then the unique keys.
    pub keys: Vec<Key>,
    /// Whether the table was created WITHOUT ROWID.
    pub without_rowid: bool,
}

impl Table {
    /// Returns a name for the rowid; none if the table has no rowid, or columns with all of its names.
    pub fn rowid(&self) -> Option<&'static str> {
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

/// Excludes SQLite's and Tombolo's own tables, and the tables behind virtual tables.
const VISIBLE: &str = r"schema = 'main' AND type <> 'shadow'
    AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'tombolo\_%' ESCAPE '\'";

/// Returns all tables and views, sorted by name.
pub async fn tables(connection: &mut SqliteConnection) -> Result<Vec<TableSummary>, DatabaseError> {
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

/// Returns one table; `database` is the name for messages. Fails with `NotFound`, `View`, or `Unsuitable` for a virtual
/// table.
pub async fn table(
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

    let indexes = constraints::indexes(connection, name).await?;
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
    // A primary key without an index is the rowid itself (INTEGER PRIMARY KEY, but not DESC).
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
        let stored = origins.get(&name);
        let origin = stored
            .map(|stored| stored.origin.clone())
            .unwrap_or_else(|| {
                // Only in a STRICT table does this word have a meaning: that of no type in other tables.
                let any = strict && declared.eq_ignore_ascii_case("any");
                let declared = if any { "" } else { &declared };
                Origin::Sqlite(declared.to_owned()).to_string()
            });
        storage.push(LocalColumn {
            name: name.clone(),
            affinity,
            rowid,
            keeps_float_bits: affinity == Affinity::Real && Origin::parse(&origin).is_postgres(),
        });
        columns.push(Column {
            logical: match logical_of(&origin) {
                // A user-defined type, such as a domain, is read as it is stored.
                LogicalType::Other(_) if affinity != Affinity::Text => {
                    logical_of(&Origin::Sqlite(declared.clone()).to_string())
                }
                logical => logical,
            },
            origin,
            nullable: !get::<bool>(row, 2)?,
            default: get(row, 3)?,
            generation: match get::<i64>(row, 5)? {
                2 | 3 => Generation::Computed,
                // SQLite numbers every rowid, even if the origin of the column is not numbered.
                _ if rowid && stored.is_none_or(|stored| stored.numbered) => {
                    Generation::IdentityDefault
                }
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
            foreign_keys: constraints::foreign_keys(connection, name).await?,
            enums: Vec::new(),
        },
        storage,
        declared: declared_types,
        keys,
        without_rowid,
    })
}

/// Returns the names of a table's triggers, sorted.
pub async fn triggers(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT name FROM main.sqlite_schema
         WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name";
    let rows = rows(connection, sql, table).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Runs a query with one name as its parameter.
pub async fn rows(
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

/// Returns one value. Fails with `Refused` if it is not of the type, such as a name that is not UTF-8.
pub fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|error| refused(&error))
}
