//! Tests that a value is stored only if it comes back as it was sent.

use super::*;
use crate::database::buckets_of;

/// Loads texts into a column, each with its own row. Returns those that are rejected, and fails if a comparison would
/// find that the others differ.
async fn rejected(
    site: &mut Site,
    declared: &str,
    logical: LogicalType,
    origin: &str,
    cells: &[Cell],
) -> Vec<usize> {
    site.run(&format!(
        "DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS tombolo CASCADE; CREATE TABLE t (id int PRIMARY KEY, v {declared})"
    ))
    .await;
    let mut schema = announced(
        "t",
        &[("id", LogicalType::Integer), ("v", logical)],
        &["id"],
    );
    origin.clone_into(&mut schema.columns[1].origin);
    let row = |(id, cell): (usize, &Cell)| vec![Cell::Integer(id as i64), cell.clone()];
    let rows: Vec<_> = cells.iter().enumerate().map(row).collect();
    let (moved, outcome) = chunks(
        site,
        table_write(&schema, overwrite(&schema)),
        &[block(&rows)],
    )
    .await
    .unwrap();
    assert_eq!(outcome.stored, Stored::Verified, "{declared}");
    let there = site
        .value("SELECT coalesce(string_agg(id::text, ' '), '') FROM t")
        .await;
    let there: Vec<usize> = there
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(moved.created as usize, there.len());
    let snapshot = site.database.snapshot().await.unwrap();
    let stored = buckets_of(snapshot.as_ref(), Read::compared(&schema))
        .await
        .unwrap()
        .total();
    let sent: Vec<_> = there.iter().map(|id| rows[*id].clone()).collect();
    if !sent.is_empty() {
        assert_eq!(
            stored.digest,
            block(&sent).digest(),
            "{declared} {cells:?}: {there:?}"
        );
    }
    (0..cells.len()).filter(|id| !there.contains(id)).collect()
}

fn texts(all: &[&str]) -> Vec<Cell> {
    all.iter().map(|one| text(one)).collect()
}

#[tokio::test]
async fn texts_are_stored_only_as_their_type_prints_them_in_postgres() {
    let Some(mut site) =
        Site::new("CREATE DOMAIN short AS char(3); CREATE TYPE pair AS (a int, b text)").await
    else {
        return;
    };
    // A type, texts that it prints so, and texts that it prints otherwise.
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "jsonb",
            &["{\"a\": 1}", "[1, 2]", "null"],
            &[
                "{\"a\":1,\"a\":2}",
                "{\"b\":1}",
                "1.0e1",
                " 1",
                "{\"b\": 1, \"a\": 2}",
            ],
        ),
        ("json", &["{\"a\":1,\"a\":2}", " 1"], &[]),
        ("char(3)", &["abc", "ab ", "äöü"], &["ab", "", "abc "]),
        ("short", &["abc"], &["ab"]),
        ("varchar(3)", &["ab", "ab "], &["abc "]),
        ("text", &["ab "], &[]),
        ("name", &["ab"], &[]),
        ("\"char\"", &["a"], &["ab"]),
        (
            "numeric(10,2)",
            &["1.50", "-0.10"],
            &["1.5", "1", "1.500", "01.50"],
        ),
        ("numeric", &["1.50"], &["1.", "+1"]),
        ("numeric(3,-2)", &["100"], &["120"]),
        (
            "numeric(5,2)[]",
            &["{1.50}"],
            &["{1.5}", "{1.505}", "{ 1.50}"],
        ),
        ("inet", &["10.0.0.1"], &["10.0.0.1/32", "010.0.0.1"]),
        ("cidr", &["10.0.0.0/8"], &["10"]),
        ("macaddr", &["08:00:2b:01:02:03"], &["08-00-2b-01-02-03"]),
        ("money", &["$1.00", "-$1,000.00"], &["1", "$1", "$1.005"]),
        ("interval", &["1 day", "01:00:00"], &["24:00", "1 days"]),
        ("interval(0)", &["00:00:01"], &["00:00:01.4"]),
        ("timetz", &["01:02:03+02"], &["01:02:03.10+02", "01:02+02"]),
        (
            "timestamp(0)",
            &["2020-01-02 03:04:05"],
            &["2020-01-02 03:04:05.5"],
        ),
        ("xml", &["<a/>", "<?xml version=\"1.0\"?><a/>"], &[]),
        (
            "regclass",
            &["pg_class"],
            &["PG_CLASS", "pg_catalog.pg_class", "1259"],
        ),
        ("regtype", &["integer"], &["int4", "int"]),
        ("bit(3)", &["101"], &["x5", "10"]),
        ("varbit(3)", &["10"], &["1010"]),
        ("int4[]", &["{1,2}"], &["{1, 2}", "[1:2]={1,2}"]),
        ("pair", &["(1,b)"], &["( 1,b)", "(1,\"b\")"]),
        ("int4range", &["[1,3)"], &["[1,2]", "(0,2]"]),
        ("tsvector", &["'a' 'b'"], &["b a", "'b' 'a'"]),
        ("tsquery", &["'a' & 'b'"], &["a&b"]),
        (
            "uuid",
            &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
            &[
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            ],
        ),
        ("oid", &["7"], &["07", "-1"]),
        ("point", &["(1,2)"], &["1,2", "(1.0,2)"]),
        ("box", &["(2,2),(1,1)"], &["(1,1),(2,2)"]),
        ("date", &["2020-01-02"], &["2020-1-2"]),
    ];
    for (declared, good, bad) in cases {
        let cells = texts(&[*good, *bad].concat());
        let wrong = rejected(
            &mut site,
            declared,
            LogicalType::Text,
            "sqlite:TEXT",
            &cells,
        )
        .await;
        let expected: Vec<usize> = (good.len()..cells.len()).collect();
        assert_eq!(wrong, expected, "{declared} {cells:?}");
    }
}

#[tokio::test]
async fn values_of_other_types_are_stored_only_if_they_come_back_in_postgres() {
    use LogicalType as L;
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let other = |name: &str| L::Other(name.to_owned());
    let cases = [
        (
            "jsonb",
            L::Json,
            "pg:json",
            texts(&["{\"a\": 1}", "{\"a\":1}"]),
            vec![1],
        ),
        ("jsonb", L::Json, "pg:jsonb", texts(&["{\"a\": 1}"]), vec![]),
        (
            "inet",
            other("inet"),
            "pg:inet",
            texts(&["10.0.0.1", "10.0.0.1/32"]),
            vec![1],
        ),
        (
            "numeric(10,2)",
            L::Decimal,
            "pg:numeric",
            texts(&["1.50", "1.5"]),
            vec![1],
        ),
        (
            "numeric(10,2)",
            L::Integer,
            "pg:integer",
            vec![Cell::Integer(5)],
            vec![],
        ),
        (
            "double precision",
            L::Decimal,
            "pg:numeric",
            texts(&["1.1", "1.10"]),
            vec![1],
        ),
        (
            "numeric",
            L::Float,
            "sqlite:REAL",
            vec![Cell::Real(1.5), Cell::Real(1e300)],
            vec![],
        ),
        (
            "boolean",
            L::Integer,
            "sqlite:INTEGER",
            vec![Cell::Integer(0), Cell::Integer(2)],
            vec![1],
        ),
        ("text", L::Date, "pg:date", vec![Cell::Integer(5)], vec![]),
        (
            "timestamptz",
            L::Text,
            "sqlite:TEXT",
            texts(&["2020-01-02 03:04:05+00", "2020-01-02 03:04:05"]),
            vec![1],
        ),
        (
            "numeric(10,2)",
            L::Decimal,
            "sqlite:DECIMAL(10,2)",
            vec![Cell::Real(1.5), Cell::Integer(7), Cell::Real(0.1)],
            vec![],
        ),
    ];
    for (declared, logical, origin, cells, expected) in cases {
        let wrong = rejected(&mut site, declared, logical, origin, &cells).await;
        assert_eq!(wrong, expected, "{declared} {origin} {cells:?}");
    }
}
