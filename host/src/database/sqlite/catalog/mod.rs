//! The tables of a SQLite database, as its pragma functions describe them.

pub mod application;
pub mod constraints;
pub mod features;
pub mod origins;
pub mod values;

use std::collections::HashSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use self::constraints::Key;
use crate::bindings::database::{TableKind, TableSummary};
use crate::bindings::types::{Column, Generation, LogicalType, TableSchema};
use crate::database::sqlite::codec::storage::LocalColumn;
use crate::database::sqlite::codec::types::Affinity;
use crate::database::sqlite::error::refused;
use crate::database::sqlite::meta::tables::{COLUMNS, LEDGER, REJECTS};
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

/// Excludes SQLite's and Tombolo's own tables.
///
/// `pragma_table_list` would tell more, but it opens every virtual table and resolves every view of the file, which a
/// stranger may have made so that this takes for ever.
const VISIBLE: &str = r"type IN ('table', 'view')
    AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'tombolo\_%' ESCAPE '\'";

/// `table`, `view` or `virtual`; a virtual table has no page.
const KIND: &str = "CASE WHEN type = 'table' AND rootpage = 0 THEN 'virtual' ELSE type END";

/// The endings of the tables in which SQLite's virtual tables keep their data, behind their name and `_`.
const SHADOWS: [&str; 11] = [
    "config", "content", "data", "docsize", "idx", "node", "parent", "rowid", "segdir", "segments",
    "stat",
];

/// Returns all tables and views, sorted by name.
pub async fn tables(connection: &mut SqliteConnection) -> Result<Vec<TableSummary>, DatabaseError> {
    let sql = format!("SELECT name, {KIND} FROM main.sqlite_schema WHERE {VISIBLE} ORDER BY name");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))?;
    let mut all: Vec<(String, String)> = Vec::with_capacity(rows.len());
    for row in &rows {
        all.push((get(row, 0)?, get(row, 1)?));
    }
    let virtual_tables: HashSet<String> = all
        .iter()
        .filter(|(_, kind)| kind == "virtual")
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let is_shadow =
        |name: &str| owner_of_shadow(name).is_some_and(|owner| virtual_tables.contains(&owner));
    let visible = all
        .into_iter()
        .filter(|(name, kind)| kind != "table" || !is_shadow(name));
    Ok(visible
        .map(|(table, kind)| TableSummary {
            table,
            kind: match kind.as_str() {
                "table" => TableKind::Table,
                "view" => TableKind::View,
                kind => TableKind::Other(format!("{kind} table")),
            },
        })
        .collect())
}

/// Returns the tables that have a name as Tombolo's own tables have it and are none of them, sorted by name.
pub async fn reserved(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let own = [LEDGER, REJECTS, COLUMNS];
    let sql = r"SELECT name FROM main.sqlite_schema
        WHERE type = 'table' AND name LIKE 'tombolo\_%' ESCAPE '\' ORDER BY name";
    let rows = sqlx::query(sql)
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))?;
    let names = rows.iter().map(|row| get(row, 0));
    let names = names.collect::<Result<Vec<String>, _>>()?;
    let is_own = |name: &String| own.iter().any(|one| one.eq_ignore_ascii_case(name));
    Ok(names.into_iter().filter(|name| !is_own(name)).collect())
}

/// Returns the virtual table, in lower case, whose data a table of this name would keep; none if it is no such name.
fn owner_of_shadow(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let (owner, ending) = name.rsplit_once('_')?;
    SHADOWS.contains(&ending).then(|| owner.to_owned())
}

/// Returns one table; `database` is the name for messages. Fails with `NotFound`, `View`, or `Unsuitable` for a virtual
/// table.
pub async fn table(
    connection: &mut SqliteConnection,
    database: &str,
    name: &str,
) -> Result<Table, DatabaseError> {
    let sql = format!("SELECT {KIND}, sql FROM main.sqlite_schema WHERE {VISIBLE} AND name = ?");
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
        "table" if is_shadow(connection, name).await? => {
            return Err(DatabaseError::NotFound { database, table });
        }
        "table" => {}
        "view" => return Err(DatabaseError::View { database, table }),
        kind => {
            let reason =
                format!("it is a {kind} table, and only ordinary tables can be transferred");
            return Err(DatabaseError::Unsuitable { table, reason });
        }
    }
    let strict = is_strict(&get::<String>(&found, 1)?);
    // Only a table without rowids is an index of its own name.
    let key = rows(
        connection,
        "SELECT 1 FROM pragma_index_info(?, 'main') LIMIT 1",
        name,
    );
    let without_rowid = !key.await?.is_empty();

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

/// Returns whether a table keeps the data of a virtual table.
async fn is_shadow(connection: &mut SqliteConnection, name: &str) -> Result<bool, DatabaseError> {
    let Some(owner) = owner_of_shadow(name) else {
        return Ok(false);
    };
    let sql = "SELECT 1 FROM main.sqlite_schema
         WHERE type = 'table' AND rootpage = 0 AND name = ? COLLATE NOCASE";
    Ok(!rows(connection, sql, &owner).await?.is_empty())
}

/// Returns whether a statement creates a table as STRICT: the word stands behind the last parenthesis.
fn is_strict(sql: &str) -> bool {
    let mut behind = String::new();
    let mut rest = sql.chars().peekable();
    while let Some(character) = rest.next() {
        let end = match (character, rest.peek()) {
            ('-', Some('-')) => "\n",
            ('/', Some('*')) => "*/",
            ('\'', _) => "'",
            ('"', _) => "\"",
            ('`', _) => "`",
            ('[', _) => "]",
            (')', _) => {
                behind.clear();
                continue;
            }
            _ => {
                behind.push(character);
                continue;
            }
        };
        behind.push(' ');
        if end == "*/" {
            rest.next();
        }
        let mut last = ' ';
        for skipped in rest.by_ref() {
            let ends = match end {
                "*/" => (last, skipped) == ('*', '/'),
                end => end.starts_with(skipped),
            };
            if ends {
                break;
            }
            last = skipped;
        }
    }
    let mut words = behind.split(|character: char| !character.is_ascii_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case("strict"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strict_table_says_so_at_its_end() {
        for sql in [
            "CREATE TABLE t (a) STRICT",
            "CREATE TABLE t (a CHECK (a <> ')')) without rowid,strict",
            "CREATE TABLE t (a) /* ) */ STRICT",
            "CREATE TABLE t (a) -- )\nSTRICT",
        ] {
            assert!(is_strict(sql), "{sql}");
        }
        for sql in [
            "CREATE TABLE strict (a)",
            "CREATE TABLE t (strict, \") STRICT\")",
            "CREATE TABLE t (a DEFAULT ') strict')",
            "CREATE TABLE t (a) /* strict */ WITHOUT ROWID",
            "CREATE TABLE [) strict](a)",
            "",
            "CREATE TABLE t(a) /*",
            "'",
        ] {
            assert!(!is_strict(sql), "{sql}");
        }
    }

    #[test]
    fn data_of_virtual_tables_is_known_by_its_name() {
        assert_eq!(owner_of_shadow("Words_Content").as_deref(), Some("words"));
        assert_eq!(owner_of_shadow("content"), None);
        assert_eq!(owner_of_shadow("order_line"), None);
    }
}
