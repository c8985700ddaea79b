//! Tests keys that the database takes to be equal though they are written otherwise.

use super::*;

const TYPES: &str =
    "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

fn schema(logical: &LogicalType) -> TableSchema {
    announced(
        "t",
        &[("k", logical.clone()), ("v", LogicalType::Integer)],
        &["k"],
    )
}

/// Two values of a key that are equal, and their type.
fn cases() -> Vec<(&'static str, LogicalType, Cell, Cell)> {
    let other = |name: &str| LogicalType::Other(name.to_owned());
    vec![
        ("text COLLATE ci", LogicalType::Text, text("A"), text("a")),
        ("text COLLATE ci", LogicalType::Text, text("a"), text("A")),
        (
            "varchar(9) COLLATE ci",
            LogicalType::Text,
            text("É"),
            text("é"),
        ),
        ("numeric", LogicalType::Decimal, text("1.0"), text("1.00")),
        (
            "double precision",
            LogicalType::Float,
            Cell::Real(0.0),
            Cell::Real(-0.0),
        ),
        ("bpchar", LogicalType::Text, text("a"), text("a ")),
        (
            "interval",
            LogicalType::Interval,
            text("1 day"),
            text("24:00:00"),
        ),
        ("jsonb", LogicalType::Json, text("1.0"), text("1.00")),
        (
            "numeric[]",
            other("numeric[]"),
            text("{1.0}"),
            text("{1.00}"),
        ),
        (
            "numrange",
            other("numrange"),
            text("[1.0,2)"),
            text("[1.00,2)"),
        ),
        ("citext", other("citext"), text("A"), text("a")),
    ]
}

#[tokio::test]
async fn the_second_of_two_equal_keys_is_one_reject_that_says_so_in_postgres() {
    let Some(mut site) = Site::new(TYPES).await else {
        return;
    };
    let has_citext = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'";
    let has_citext = site.value(has_citext).await == "1";
    if has_citext {
        site.run("CREATE EXTENSION citext").await;
    }
    for (declared, logical, one, other) in cases() {
        if declared == "citext" && !has_citext {
            continue;
        }
        let row = |key: &Cell, value| vec![key.clone(), Cell::Integer(value)];
        let schema = schema(&logical);
        // In one chunk, in two chunks, and where the other one was there before.
        for way in 0..3 {
            for plan in [overwrite, skip] {
                site.run(&format!(
                    "DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS tombolo CASCADE; \
                     CREATE TABLE t (k {declared} PRIMARY KEY, v int)"
                ))
                .await;
                let blocks = match way {
                    0 => vec![block(&[row(&one, 1), row(&other, 2)])],
                    _ => vec![block(&[row(&one, 1)]), block(&[row(&other, 2)])],
                };
                let mut write = table_write(&schema, plan(&schema));
                let moved = if way == 2 {
                    let (moved, _) = chunks(&site, write.clone(), &blocks[..1]).await.unwrap();
                    write.run = "another".to_owned();
                    moved.received() + chunks(&site, write, &blocks[1..]).await.unwrap().0.failed
                } else {
                    let (moved, outcome) = chunks(&site, write, &blocks).await.unwrap();
                    assert_eq!(outcome.stored, Stored::Verified);
                    moved.created + moved.failed
                };
                let rejects = site.database.rejects(10).await.unwrap();
                let reasons: Vec<_> = rejects.iter().map(|one| one.reason.as_str()).collect();
                assert_eq!((moved, rejects.len()), (2, 1), "{declared} {way} {one:?}");
                assert!(reasons[0].contains("key"), "{declared} {way}: {reasons:?}");
                assert_eq!(site.value("SELECT v FROM t").await, "1");
            }
        }
    }
}

#[tokio::test]
async fn keys_that_are_written_alike_are_found_in_postgres() {
    let Some(mut site) = Site::new(TYPES).await else {
        return;
    };
    for (declared, logical, one, _) in cases() {
        if declared == "citext" {
            continue;
        }
        site.run(&format!(
            "DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS tombolo CASCADE; CREATE TABLE t (k {declared} PRIMARY KEY, v int)"
        ))
        .await;
        let schema = schema(&logical);
        let rows = |value| block(&[vec![one.clone(), Cell::Integer(value)]]);
        let write = table_write(&schema, overwrite(&schema));
        let (moved, _) = chunks(&site, write, &[rows(1)]).await.unwrap();
        assert_eq!(moved, counts(1, 0, 0, 0), "{declared}");
        let write = TableWrite {
            run: "another".to_owned(),
            ..table_write(&schema, overwrite(&schema))
        };
        let (moved, _) = chunks(&site, write, &[rows(2)]).await.unwrap();
        assert_eq!(moved, counts(0, 1, 0, 0), "{declared}");
    }
}
