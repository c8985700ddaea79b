//! The types of columns by what they really hold.

use super::*;
use crate::bindings::types::{ColumnValues, ValueKind as K};

fn created(declared: &str, logical: LogicalType, kinds: &[K]) -> (String, Vec<String>) {
    let mut options = options(&[], &[]);
    options.facts.values = vec![ColumnValues {
        column: "v".to_owned(),
        kinds: kinds.to_vec(),
    }];
    let column = column("v", logical, &format!("sqlite:{declared}"));
    let plan = create_table(&Dialect::Postgres, &table(vec![column], &[]), &options).unwrap();
    parsed(&Dialect::Postgres, &plan);
    let sql = &plan.before[0].sql;
    let sql_type = sql.strip_prefix("CREATE TABLE \"t\" (\"v\" ").unwrap();
    (sql_type.strip_suffix(')').unwrap().to_owned(), plan.widened)
}

#[test]
fn a_column_gets_the_narrowest_type_that_holds_its_values() {
    use LogicalType as L;
    for (declared, logical, kinds, expected) in [
        ("DATETIME", L::Text, vec![], "text"),
        ("DATETIME", L::Text, vec![K::Text], "text"),
        ("DATETIME", L::Text, vec![K::Truth, K::Integer], "bigint"),
        ("TIMESTAMP", L::Text, vec![K::Real], "double precision"),
        ("NUMBER", L::Text, vec![K::Integer, K::Real], "numeric"),
        ("POINT", L::Integer, vec![K::Bytes], "bytea"),
        ("POINT", L::Integer, vec![K::Text], "text"),
        ("INTEGER", L::Integer, vec![K::Truth, K::Real], "numeric"),
        ("BOOLEAN", L::Boolean, vec![K::Truth], "boolean"),
        ("BOOLEAN", L::Boolean, vec![K::Truth, K::Integer], "bigint"),
        ("BOOLEAN", L::Boolean, vec![K::Text], "text"),
        ("DECIMAL(10,2)", L::Decimal, vec![K::Integer], "numeric"),
        ("DECIMAL(10,2)", L::Decimal, vec![K::Text], "text"),
        (
            "DECIMAL(10,2)",
            L::Decimal,
            vec![K::Real, K::Infinity],
            "double precision",
        ),
        ("", L::Any, vec![K::Truth], "bigint"),
        ("", L::Any, vec![K::Real], "double precision"),
        ("BLOB", L::Bytes, vec![K::Text], "text"),
    ] {
        let (sql_type, widened) = created(declared, logical, &kinds);
        assert_eq!(sql_type, expected, "{declared} {kinds:?}");
        assert_eq!(widened, [""; 0], "{declared} {kinds:?}");
    }
}

#[test]
fn a_column_that_no_other_type_holds_is_wide() {
    use LogicalType as L;
    for (declared, logical, kinds) in [
        ("TEXT", L::Text, vec![K::TextWithNul]),
        ("TEXT", L::Text, vec![K::Text, K::Bytes]),
        ("INTEGER", L::Integer, vec![K::Integer, K::Text]),
        ("DECIMAL", L::Decimal, vec![K::Integer, K::Infinity]),
        ("", L::Any, vec![K::Integer, K::Real]),
        ("BLOB", L::Bytes, vec![K::Truth, K::Real]),
        ("BOOLEAN", L::Boolean, vec![K::Truth, K::Text]),
        ("x", L::Text, vec![K::Other("later".to_owned())]),
    ] {
        let (sql_type, widened) = created(declared, logical, &kinds);
        assert_eq!(
            (sql_type.as_str(), widened.len()),
            ("text", 1),
            "{declared} {kinds:?}"
        );
    }
}

#[test]
fn a_row_number_and_a_kept_column_have_their_declared_type() {
    let mut options = options(&[], &[]);
    options.facts.values = vec![
        ColumnValues {
            column: "id".to_owned(),
            kinds: vec![K::Text],
        },
        ColumnValues {
            column: "v".to_owned(),
            kinds: vec![K::Text, K::Integer],
        },
    ];
    options.keep = vec!["v".to_owned()];
    let id = numbered(column("id", LogicalType::Integer, "sqlite:INTEGER"));
    let v = column("v", LogicalType::Integer, "sqlite:INTEGER");
    let table = table(vec![id, v], &["id"]);
    let plan = create_table(&Dialect::Postgres, &table, &options).unwrap();
    let sql = &plan.before[0].sql;
    assert!(
        sql.contains("\"id\" bigint") && sql.contains("\"v\" bigint"),
        "{sql}"
    );
    assert!(plan.widened.is_empty());
}
