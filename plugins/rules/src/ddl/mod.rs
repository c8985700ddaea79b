//! The statements that create a table like one of another database.
//!
//! A created table gets the columns, their enums, NOT NULL, the primary key, numbering, and defaults that are plain
//! values. The plan names what it does not get. Text of the peer is quoted, checked against a list, or left out.

mod enums;
mod literal;
mod narrowest;
mod postgres;
mod sqlite;

use std::collections::BTreeSet;

use self::literal::{Holds, Literal};
use self::narrowest::Narrowest;
use crate::bindings::types::{
    Column, CreateOptions, DdlPlan, Dialect, Error, Generation, Statement, StatementKind,
    TableSchema,
};
use crate::columns::{is_sent, sent_columns};

/// The databases in which tables can be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Sqlite,
    Postgres,
}

/// The type of a column in the database where it was created first.
enum Origin<'a> {
    /// A type of PostgreSQL, as `format_type` prints it.
    Postgres(&'a str),
    /// A type of SQLite, as it was declared; may be empty.
    Sqlite(&'a str),
    /// A type of another database.
    Unknown,
}

impl<'a> From<&'a Column> for Origin<'a> {
    fn from(column: &'a Column) -> Self {
        match column.origin.split_once(':') {
            Some(("pg", name)) => Self::Postgres(name),
            Some(("sqlite", name)) => Self::Sqlite(name),
            _ => Self::Unknown,
        }
    }
}

/// The declaration of a column in the new table.
struct Declaration {
    /// The type; may be empty in SQLite.
    sql_type: String,
    /// The text after the type that makes the database number the column; none if the database does not number it.
    numbering: Option<&'static str>,
    /// The values that the column holds, for its default.
    holds: Holds,
    /// What the type loses, in words.
    lost: Option<String>,
}

impl Declaration {
    fn new(sql_type: &str, holds: Holds) -> Self {
        Self {
            sql_type: sql_type.to_owned(),
            numbering: None,
            holds,
            lost: None,
        }
    }

    fn without(self, lost: String) -> Self {
        Self {
            lost: Some(format!("{lost} (created as {})", self.sql_type)),
            ..self
        }
    }
}

/// Returns the statements that create a table like the incoming one, and what the table will not have.
///
/// No row is refused for the type of a new column: a column of SQLite gets the narrowest type that holds what it really
/// holds, unless the options say otherwise.
///
/// # Errors
///
/// Fails with `invalid` if the dialect is unknown, or if the table cannot exist in the target: a name is empty, too long,
/// a duplicate, or contains NUL; there is no column; or a key column does not exist.
pub fn create_table(
    dialect: &Dialect,
    incoming: &TableSchema,
    options: &CreateOptions,
) -> Result<DdlPlan, Error> {
    let target = match dialect {
        Dialect::Sqlite => Target::Sqlite,
        Dialect::Postgres => Target::Postgres,
        Dialect::Other(name) => {
            return Err(Error::Invalid(format!(
                "unsupported dialect {name:?}: tables can be created in SQLite and PostgreSQL"
            )));
        }
    };
    check(target, incoming)?;

    let (mut before, created_types) = match target {
        Target::Postgres => enums::create(incoming, &options.types),
        Target::Sqlite => Default::default(),
    };
    let types = [options.types.as_slice(), &created_types].concat();
    let mut not_carried = Vec::new();
    let mut widened = Vec::new();
    let mut parts = Vec::new();
    for column in &incoming.columns {
        if column.generation == Generation::Computed {
            not_carried.push(format!(
                "column {:?}, which its database computes",
                column.name
            ));
        } else {
            let declaration = match target {
                Target::Postgres => match narrowest::of(column, options) {
                    Narrowest::Declared => {
                        let in_key = incoming.primary_key.contains(&column.name);
                        postgres::declare(column, in_key, &types)
                    }
                    Narrowest::Type(declaration) => declaration,
                    Narrowest::Wide => {
                        widened.push(column.name.clone());
                        postgres::widened(column)
                    }
                },
                // A column of SQLite holds values of every type, whatever it declares.
                Target::Sqlite => sqlite::declare(
                    column,
                    incoming.primary_key.as_slice() == [column.name.as_str()],
                ),
            };
            parts.push(definition(
                target,
                column,
                declaration,
                incoming,
                &mut not_carried,
            ));
        }
    }
    parts.extend(primary_key(incoming, &mut not_carried));
    for columns in &incoming.unique_keys {
        not_carried.push(format!("the unique key ({})", list(columns)));
    }
    for key in &incoming.foreign_keys {
        not_carried.push(format!(
            "the foreign key ({}) to table {:?}",
            list(&key.columns),
            key.referenced_table
        ));
    }

    not_carried.extend(options.facts.features.iter().cloned());
    before.push(Statement {
        kind: StatementKind::CreateTable,
        object: incoming.table.clone(),
        sql: format!(
            "CREATE TABLE {} ({})",
            quote(&incoming.table),
            parts.join(", ")
        ),
    });
    Ok(DdlPlan {
        before,
        after: Vec::new(),
        not_carried,
        widened,
    })
}

/// Returns the definition of one column: name, type, numbering, default, NOT NULL.
fn definition(
    target: Target,
    column: &Column,
    declaration: Declaration,
    table: &TableSchema,
    not_carried: &mut Vec<String>,
) -> String {
    let in_key = table.primary_key.contains(&column.name);
    let mut lose = |what: &str| not_carried.push(format!("of column {:?}: {what}", column.name));

    let mut sql = quote(&column.name);
    if !declaration.sql_type.is_empty() {
        sql.push(' ');
        sql.push_str(&declaration.sql_type);
    }
    if let Some(lost) = &declaration.lost {
        lose(lost);
    }
    match (&column.generation, declaration.numbering, &column.default) {
        // The default of a numbered column is how its database numbers it.
        (_, Some(numbering), _) => sql.push_str(numbering),
        (Generation::IdentityAlways | Generation::IdentityDefault, None, _) => {
            lose("its numbering")
        }
        (_, None, Some(expression)) => match default(target, &declaration, expression) {
            Some(clause) => sql.push_str(&clause),
            None => lose(&format!("its default {}", shortened(expression))),
        },
        (_, None, None) => {}
    }
    if let Generation::Other(name) = &column.generation {
        lose(&format!("how its values are generated ({name:?})"));
    }
    if !column.nullable {
        sql.push_str(" NOT NULL");
    } else if in_key && target == Target::Postgres && declaration.numbering.is_none() {
        lose("that NULL is allowed, which PostgreSQL does not support in a key");
    }
    sql
}

/// Returns the DEFAULT clause, which is empty for NULL; none if the default is not a plain value or would have another
/// meaning in the target.
fn default(target: Target, declaration: &Declaration, expression: &str) -> Option<String> {
    let (literal, casts) = literal::parse(expression)?;
    let kept = literal::casts_keep(&literal, &casts)
        && (target == Target::Sqlite
            || postgres::casts_suit(&declaration.sql_type, &literal, &casts));
    if literal == Literal::Null {
        return Some(String::new());
    }
    let value = declaration.holds.default(&literal).filter(|_| kept)?;
    Some(format!(" DEFAULT {value}"))
}

/// Returns the PRIMARY KEY clause; none without a key that can be created.
fn primary_key(table: &TableSchema, not_carried: &mut Vec<String>) -> Option<String> {
    // A key column that does not exist was refused before.
    if table.primary_key.is_empty() {
        return None;
    }
    if let Some(name) = table.primary_key.iter().find(|name| !is_sent(name, table)) {
        not_carried.push(format!(
            "the primary key ({}): its database computes {name:?}",
            list(&table.primary_key)
        ));
        return None;
    }
    let columns: Vec<String> = table.primary_key.iter().map(|name| quote(name)).collect();
    Some(format!("PRIMARY KEY ({})", columns.join(", ")))
}

/// Fails with `invalid` if the table can be created under other names only, or not at all.
fn check(target: Target, table: &TableSchema) -> Result<(), Error> {
    let refuse = |reason: String| {
        Err(Error::Invalid(format!(
            "table {} cannot be created: {reason}; create it yourself, or leave it out",
            shortened(&table.table)
        )))
    };
    let mut seen = BTreeSet::new();
    for name in sent_columns(table).map(|column| &column.name) {
        if let Some(reason) = unusable(target, name) {
            return refuse(format!("the name of column {} {reason}", shortened(name)));
        }
        // SQLite compares names without regard to ASCII case.
        let comparable = if target == Target::Sqlite {
            name.to_ascii_lowercase()
        } else {
            name.clone()
        };
        if !seen.insert(comparable) {
            return refuse(format!(
                "it has two columns with the name {}",
                shortened(name)
            ));
        }
    }
    if seen.is_empty() {
        return refuse("it has no columns whose values are sent".to_owned());
    }
    if let Some(reason) = unusable(target, &table.table) {
        return refuse(format!("its name {reason}"));
    }
    if target == Target::Sqlite && table.table.to_ascii_lowercase().starts_with("sqlite_") {
        return refuse("SQLite reserves names that begin with sqlite_".to_owned());
    }
    let missing = |name: &&String| !table.columns.iter().any(|column| column.name == **name);
    match table.primary_key.iter().find(missing) {
        Some(name) => refuse(format!(
            "its primary key has column {}, which is none of its columns",
            shortened(name)
        )),
        None => Ok(()),
    }
}

/// Returns why a name cannot be used as it is; none if it can.
fn unusable(target: Target, name: &str) -> Option<String> {
    if name.is_empty() {
        Some("is empty".to_owned())
    } else if name.contains('\0') {
        Some("contains a NUL character".to_owned())
    } else if target == Target::Postgres && name.len() > postgres::MAX_NAME {
        Some(format!(
            "has {} bytes, and PostgreSQL cuts names at {}",
            name.len(),
            postgres::MAX_NAME
        ))
    } else {
        None
    }
}

/// Returns a name as a quoted identifier, which has the same form in both databases.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns names for people: quoted, with escapes, separated by commas.
fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// Returns the beginning of a text for people: quoted, with escapes.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 80;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
