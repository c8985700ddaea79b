//! Checks statements that create enums: exactly those that the incoming table declares.

use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Statement as Tree, UserDefinedTypeRepresentation,
};
use sqlparser::dialect::Dialect as Grammar;

use crate::bindings::types::{Dialect, EnumType};
use crate::database::{CheckedStatement, quote};

/// Checks a statement that should create one of the declared enums, and prints it again. Fails with the reason.
pub fn check(
    dialect: &Dialect,
    grammar: &dyn Grammar,
    declared: &[EnumType],
    tree: &Tree,
) -> Result<CheckedStatement, &'static str> {
    if *dialect != Dialect::Postgres {
        return Err("only PostgreSQL has enums");
    }
    let Tree::CreateType {
        name,
        representation: Some(UserDefinedTypeRepresentation::Enum { labels }),
    } = tree
    else {
        return Err("it is not the CREATE TYPE … AS ENUM it claims to be");
    };
    let name = own_name(name).ok_or("the type's name is not a quoted name without a schema")?;
    let labels: Option<Vec<String>> = labels.iter().map(text).collect();
    let labels = labels.ok_or("a label is not a string")?;
    let made = EnumType {
        name: name.to_owned(),
        labels,
    };
    let is_made =
        |one: &EnumType| bare(&one.name).as_deref() == Some(name) && one.labels == made.labels;
    if !declared.iter().any(is_made) {
        return Err("the incoming table declares no such enum");
    }
    // The parser's own printing gets quotes behind backslashes wrong.
    let printed = print(&made);
    match super::check::parse(grammar, &printed, true) {
        Ok(again) if again == *tree => Ok(CheckedStatement::of_enum(printed, made)),
        _ => Err("its printed form differs from what was checked"),
    }
}

fn print(made: &EnumType) -> String {
    let labels: Vec<String> = made
        .labels
        .iter()
        .map(|label| format!("'{}'", label.replace('\'', "''")))
        .collect();
    let name = quote(&made.name);
    format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", "))
}

/// Returns a quoted name without a schema: a type of the schema that tables are created in.
fn own_name(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(part)] if part.quote_style == Some('"') => Some(&part.value),
        _ => None,
    }
}

fn text(label: &Ident) -> Option<String> {
    (label.quote_style == Some('\'')).then(|| label.value.clone())
}

/// The name that PostgreSQL prints so; none for one in another schema.
fn bare(printed: &str) -> Option<String> {
    let Some(inside) = printed.strip_prefix('"') else {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        return printed.bytes().all(plain).then(|| printed.to_owned());
    };
    let inside = inside.strip_suffix('"')?;
    let alone = inside.replace("\"\"", "").contains('"');
    (!alone).then(|| inside.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::check::tests::table;
    use super::super::check::{StatementError, check};
    use super::*;
    use crate::bindings::types::{Statement, StatementKind};

    fn declared(name: &str, labels: &[&str]) -> EnumType {
        EnumType {
            name: name.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        }
    }

    fn run(dialect: &Dialect, sql: &str) -> Result<CheckedStatement, StatementError> {
        let statement = Statement {
            kind: StatementKind::CreateType,
            object: "t".to_owned(),
            sql: sql.to_owned(),
        };
        let enums = vec![
            declared("mood", &["sad", "it's \"ok\"", "a\\'b\\"]),
            declared("\"Größen \"\"Typ\"", &["", " "]),
            declared("empty", &[]),
            declared("other.mood", &["far"]),
            declared("\"a\".\"b\"", &["x"]),
        ];
        check(dialect, &table(enums), &statement)
    }

    #[test]
    fn declared_enums_are_printed_again() {
        for (sql, name) in [
            (
                r#"CREATE TYPE "mood" AS ENUM ('sad', 'it''s "ok"', 'a\''b\')"#,
                "mood",
            ),
            (r#"CREATE TYPE "empty" AS ENUM ()"#, "empty"),
            (
                r#"CREATE TYPE "Größen ""Typ" AS ENUM ('', ' ')"#,
                "Größen \"Typ",
            ),
        ] {
            let spread = sql
                .replacen("CREATE TYPE", "create /* x */  type", 1)
                .replacen(" AS ENUM", "\n as Enum", 1);
            let checked = run(&Dialect::Postgres, &spread).unwrap();
            assert_eq!(checked.sql(), sql);
            assert_eq!(checked.enum_type().unwrap().name, name);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            r#"CREATE TYPE "mood" AS ENUM ('sad')"#,
            r#"CREATE TYPE "mood" AS ENUM ('sad', 'a\''b\', 'it''s "ok"')"#,
            r#"CREATE TYPE "mood" AS ENUM ('sad', 'it''s "ok"', 'a\''b\', 'more')"#,
            r#"CREATE TYPE "moods" AS ENUM ('sad', 'it''s "ok"', 'a\''b\')"#,
            r#"CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'a\''b\')"#,
            r#"CREATE TYPE "other"."mood" AS ENUM ('far')"#,
            r#"CREATE TYPE "other.mood" AS ENUM ('far')"#,
            r#"CREATE TYPE "a"".""b" AS ENUM ('x')"#,
            r#"CREATE TYPE "a.b" AS ENUM ('x')"#,
            r#"CREATE TYPE "empty" AS ()"#,
            r#"CREATE TYPE "empty""#,
            r#"CREATE TYPE "empty" (INPUT = int4in)"#,
            r#"CREATE TYPE "mood" AS RANGE (SUBTYPE = int4, SUBTYPE_DIFF = evil)"#,
            r#"CREATE TYPE "mood" AS (a int)"#,
            r#"CREATE DOMAIN "mood" AS text"#,
            r#"CREATE TYPE "empty" AS ENUM (); DROP TABLE "u""#,
            r#"CREATE TABLE "t" ("a" int)"#,
            r#"CREATE TYPE "Größen ""Typ" AS ENUM ("", " ")"#,
            r#"CREATE TYPE "empty" AS ENUM (x)"#,
        ] {
            assert!(run(&Dialect::Postgres, sql).is_err(), "{sql}");
        }
        let empty = r#"CREATE TYPE "empty" AS ENUM ()"#;
        assert!(run(&Dialect::Postgres, empty).is_ok());
        assert!(run(&Dialect::Sqlite, empty).is_err());
    }
}
