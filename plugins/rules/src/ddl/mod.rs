//! Schema-to-DDL: the statement that creates a table like one of another database.
//!
//! A created table gets its columns, the enums that they have, NOT NULL, the primary key, numbering and defaults that are plain values. What it
//! does not get is named in the plan. Every piece of the peer's text is either quoted, one of a list, or left out.

mod enums;
mod literal;
mod postgres;
mod sqlite;

use std::collections::BTreeSet;

use self::literal::{Holds, Literal};
use crate::bindings::types::{
    Column, DdlPlan, Dialect, Error, Generation, Statement, StatementKind, TableSchema,
};

/// The two databases tables can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Sqlite,
    Postgres,
}

/// The type a column had where it was made first.
enum Origin<'a> {
    /// As `format_type` prints it.
    Postgres(&'a str),
    /// As it was declared, possibly empty.
    Sqlite(&'a str),
    /// Of a database this version does not know.
    Unknown,
}

impl<'a> Origin<'a> {
    fn of(column: &'a Column) -> Self {
        match column.origin.split_once(':') {
            Some(("pg", name)) => Self::Postgres(name),
            Some(("sqlite", name)) => Self::Sqlite(name),
            _ => Self::Unknown,
        }
    }
}

/// How a column is declared in the new table.
struct Declaration {
    /// Its type; may be empty in SQLite.
    sql_type: String,
    /// What has to follow the type so that the database numbers the column; none: it does not.
    numbering: Option<&'static str>,
    /// What it holds, for its default.
    holds: Holds,
    /// What its type loses, in words.
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
            lost: Some(format!("{lost} ({} here)", self.sql_type)),
            ..self
        }
    }
}

/// The statements that create a table like the incoming one, and what they leave behind. `types`: those of the columns'
/// types that somebody made in the database here too. `widen`: the columns that have to hold every value of their source.
///
/// # Errors
///
/// `invalid` for an unknown dialect, and for a table that cannot exist there: names that are empty, too long, double
/// or contain NUL, no column at all, a key column that does not exist.
pub fn create_table(
    dialect: &Dialect,
    incoming: &TableSchema,
    types: &[String],
    widen: &[String],
) -> Result<DdlPlan, Error> {
    let target = match dialect {
        Dialect::Sqlite => Target::Sqlite,
        Dialect::Postgres => Target::Postgres,
        Dialect::Other(name) => {
            return Err(Error::Invalid(format!(
                "tables can be created in SQLite and PostgreSQL, not in {name:?}"
            )));
        }
    };
    check(target, incoming)?;

    let (mut before, made) = match target {
        Target::Postgres => enums::create(incoming, types),
        Target::Sqlite => Default::default(),
    };
    let types = [types, &made].concat();
    let mut not_carried = Vec::new();
    let mut parts = Vec::new();
    for column in &incoming.columns {
        if column.generation == Generation::Computed {
            not_carried.push(format!(
                "column {:?}, which its database computes",
                column.name
            ));
        } else {
            let widen = widen.contains(&column.name);
            parts.push(definition(
                target,
                (column, widen),
                incoming,
                &types,
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
    })
}

/// One column: name, type, numbering, default, NOT NULL.
fn definition(
    target: Target,
    (column, widen): (&Column, bool),
    table: &TableSchema,
    types: &[String],
    not_carried: &mut Vec<String>,
) -> String {
    let in_key = table.primary_key.contains(&column.name);
    let declaration = match target {
        Target::Postgres if widen && postgres::can_be_wider(column) => postgres::widened(column),
        Target::Postgres => postgres::declare(column, in_key, types),
        // Its columns hold values of every kind, whatever they declare.
        Target::Sqlite => sqlite::declare(column, in_key && table.primary_key.len() == 1),
    };
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
        // The default of a numbered column is only how its database numbers it.
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
        lose(&format!("how its values are made ({name:?})"));
    }
    if !column.nullable {
        sql.push_str(" NOT NULL");
    } else if in_key && target == Target::Postgres && declaration.numbering.is_none() {
        lose("that NULL is allowed, which no key column can have here");
    }
    sql
}

/// The DEFAULT clause, empty for NULL; none if the default is not a plain value or would mean something else here.
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

/// The PRIMARY KEY clause.
fn primary_key(table: &TableSchema, not_carried: &mut Vec<String>) -> Option<String> {
    let computed = |name: &String| {
        table
            .columns
            .iter()
            .any(|column| column.name == *name && column.generation == Generation::Computed)
    };
    if table.primary_key.is_empty() {
        return None;
    }
    if let Some(name) = table.primary_key.iter().find(|name| computed(name)) {
        not_carried.push(format!(
            "the primary key ({}): its database computes {name:?}",
            list(&table.primary_key)
        ));
        return None;
    }
    let columns: Vec<String> = table.primary_key.iter().map(|name| quote(name)).collect();
    Some(format!("PRIMARY KEY ({})", columns.join(", ")))
}

/// Refuses what could be created under another name only, or not at all.
fn check(target: Target, table: &TableSchema) -> Result<(), Error> {
    let refuse = |reason: String| {
        Err(Error::Invalid(format!(
            "table {} cannot be created here: {reason}; create it yourself, or leave it out",
            shortened(&table.table)
        )))
    };
    let columns = table
        .columns
        .iter()
        .filter(|column| column.generation != Generation::Computed);
    let mut seen = BTreeSet::new();
    for name in columns.map(|column| &column.name) {
        if let Some(reason) = unusable(target, name) {
            return refuse(format!(
                "the name of its column {} {reason}",
                shortened(name)
            ));
        }
        // SQLite does not tell upper from lower case in names.
        let comparable = if target == Target::Sqlite {
            name.to_ascii_lowercase()
        } else {
            name.clone()
        };
        if !seen.insert(comparable) {
            return refuse(format!(
                "it has two columns of the name {}",
                shortened(name)
            ));
        }
    }
    if seen.is_empty() {
        return refuse("it has no columns with values of their own".to_owned());
    }
    if let Some(reason) = unusable(target, &table.table) {
        return refuse(format!("its name {reason}"));
    }
    if target == Target::Sqlite && table.table.to_ascii_lowercase().starts_with("sqlite_") {
        return refuse("SQLite keeps names that begin with sqlite_ for itself".to_owned());
    }
    let missing = |name: &&String| !table.columns.iter().any(|column| column.name == **name);
    match table.primary_key.iter().find(missing) {
        Some(name) => refuse(format!(
            "its primary key names {}, which is none of its columns",
            shortened(name)
        )),
        None => Ok(()),
    }
}

/// Why a name cannot be used as it is.
fn unusable(target: Target, name: &str) -> Option<String> {
    if name.is_empty() {
        Some("is empty".to_owned())
    } else if name.contains('\0') {
        Some("contains a NUL character".to_owned())
    } else if target == Target::Postgres && name.len() > postgres::MAX_NAME {
        Some(format!(
            "has {} bytes, and PostgreSQL cuts names after {}",
            name.len(),
            postgres::MAX_NAME
        ))
    } else {
        None
    }
}

/// A name as an identifier; both databases agree on the form.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names for people: quoted, with control characters escaped.
fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// Somebody else's text for people: quoted, escaped, and only its beginning.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 80;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
