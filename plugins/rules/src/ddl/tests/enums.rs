//! Enums that the columns have and the target lacks.

use sqlparser::ast::UserDefinedTypeRepresentation;

use super::*;

/// Parses a CREATE TYPE … AS ENUM as the host does; the name keeps its quotes.
pub(super) fn parsed(statement: &Statement) -> EnumType {
    assert_eq!(statement.kind, StatementKind::CreateType);
    let trees = Parser::parse_sql(&PostgreSqlDialect {}, &statement.sql).unwrap();
    let [
        Ast::CreateType {
            name,
            representation: Some(UserDefinedTypeRepresentation::Enum { labels }),
        },
    ] = trees.as_slice()
    else {
        panic!("not one CREATE TYPE … AS ENUM: {}", statement.sql)
    };
    assert!(labels.iter().all(|label| label.quote_style == Some('\'')));
    EnumType {
        name: name.to_string(),
        labels: labels.iter().map(|label| label.value.clone()).collect(),
    }
}

fn kind(name: &str, labels: &[&str]) -> EnumType {
    EnumType {
        name: name.to_owned(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
    }
}

fn typed(origin: &str) -> Column {
    let logical = LogicalType::Other(origin.to_owned());
    column("a", logical, &format!("pg:{origin}"))
}

fn plan(
    dialect: Dialect,
    column: Column,
    kind: EnumType,
    types: &[&str],
) -> (Vec<String>, Vec<String>) {
    let table = TableSchema {
        enums: vec![kind],
        ..table(vec![column], &[])
    };
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let plan = create_table(&dialect, &table, &options(&types, &[])).unwrap();
    assert!(plan.before.iter().all(|statement| statement.object == "t"));
    let statements = plan.before.into_iter().map(|statement| statement.sql);
    (statements.collect(), plan.not_carried)
}

#[test]
fn a_missing_enum_is_created_before_the_table() {
    for (origin, name, written) in [
        ("mood", "mood", "\"mood\""),
        ("mood[]", "mood", "\"mood\""),
        ("\"Größen Typ\"[]", "\"Größen Typ\"", "\"Größen Typ\""),
        ("\"select\"", "\"select\"", "\"select\""),
    ] {
        let array = origin.strip_prefix(name).unwrap();
        let column = with_default(typed(origin), &format!("'it''s'::{origin}"));
        let (statements, lost) = plan(
            Dialect::Postgres,
            column,
            kind(name, &["it's", "", "b\\"]),
            &[],
        );
        assert_eq!(
            statements,
            [
                format!("CREATE TYPE {written} AS ENUM ('it''s', '', 'b\\')"),
                format!("CREATE TABLE \"t\" (\"a\" {written}{array} DEFAULT 'it''s')"),
            ]
        );
        assert_eq!(lost, [""; 0]);
    }
}

#[test]
fn an_enum_that_the_target_has_or_no_column_has_is_not_created() {
    for (origin, types) in [
        ("mood", &["mood"][..]),
        ("mood[]", &["mood[]"]),
        ("integer", &[]),
    ] {
        let (statements, lost) = plan(
            Dialect::Postgres,
            typed(origin),
            kind("mood", &["a"]),
            types,
        );
        assert_eq!(statements.len(), 1, "{statements:?}");
        assert_eq!(lost, [""; 0]);
    }
    let computed = Column {
        generation: Generation::Computed,
        ..typed("mood")
    };
    let table = TableSchema {
        enums: vec![kind("mood", &["a"])],
        ..table(
            vec![computed, column("b", LogicalType::Integer, "pg:integer")],
            &[],
        )
    };
    let plan = create_table(&Dialect::Postgres, &table, &options(&[], &[])).unwrap();
    assert_eq!(plan.before.len(), 1);
}

#[test]
fn an_enum_that_cannot_be_created_becomes_text_and_is_named() {
    let long = "x".repeat(postgres::MAX_NAME + 1);
    for (name, label) in [
        ("other.mood", "a"),
        ("\"a\".\"b\"", "a"),
        ("\"it's\"", "a"),
        ("\"a\"\"b\"", "a"),
        ("mood(3)", "a"),
        ("mood", "a\0b"),
        ("mood", &long),
        (&long, "a"),
    ] {
        let (statements, lost) = plan(Dialect::Postgres, typed(name), kind(name, &[label]), &[]);
        assert_eq!(statements, ["CREATE TABLE \"t\" (\"a\" text)"]);
        assert_eq!(lost.len(), 1, "{name}");
    }
}

#[test]
fn sqlite_has_no_enums() {
    let (statements, _) = plan(Dialect::Sqlite, typed("mood"), kind("mood", &["a"]), &[]);
    assert_eq!(statements, ["CREATE TABLE \"t\" (\"a\" TEXT)"]);
}
