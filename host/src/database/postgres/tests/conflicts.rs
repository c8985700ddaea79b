//! Tests conflicts that are resolved row by row.

use std::collections::BTreeSet;

use super::*;
use crate::database::Resolution;

const SCHEMA: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE t (id int PRIMARY KEY, name text, n numeric, m mood);";

async fn begin() -> Option<(Site, Box<dyn Target>)> {
    let site = Site::new(&format!(
        "{SCHEMA} INSERT INTO t VALUES (1, 'same', 1.0, 'sad'), (2, 'local', 2, NULL), (3, 'local', 3, 'sad'), (4, 'local', 4, 'sad')"
    ))
    .await?;
    let target = site.target().await;
    Some((site, target))
}

/// Two blocks of [`begin`]'s table in the staging.
async fn staged(target: &mut dyn Target) -> Box<dyn TableWriter + '_> {
    let mut writer = overwriting(target, &schema()).await;
    writer
        .stage(&block(&[
            row(1, "same", "1.0", "sad"),
            row(2, "in", "2.5", "sad"),
            row(3, "in", "3", "happy"),
        ]))
        .await
        .done();
    writer
        .stage(&block(&[
            row(4, "in", "4", "happy"),
            row(5, "new", "5", "sad"),
        ]))
        .await
        .done();
    writer
}

async fn overwriting<'a>(
    target: &'a mut dyn Target,
    schema: &TableSchema,
) -> Box<dyn TableWriter + 'a> {
    let write = table_write(schema, overwrite(schema));
    target.begin_table(write).await.unwrap()
}

fn schema() -> TableSchema {
    announced(
        "t",
        &[
            ("id", LogicalType::Integer),
            ("name", LogicalType::Text),
            ("n", LogicalType::Decimal),
            ("m", LogicalType::Other("mood".to_owned())),
        ],
        &["id"],
    )
}

fn row(id: i64, name: &str, n: &str, m: &str) -> Vec<Cell> {
    vec![Cell::Integer(id), text(name), text(n), text(m)]
}

#[tokio::test]
async fn conflicts_are_resolved_row_by_row() {
    let Some((mut site, mut target)) = begin().await else {
        return;
    };
    let mut writer = staged(target.as_mut()).await;
    let page = writer.conflicts(2).await.unwrap();
    let positions: Vec<_> = page.iter().map(|conflict| conflict.position).collect();
    assert_eq!(positions, [2, 3]);
    assert_eq!(page[0].incoming, row(2, "in", "2.5", "sad"));
    assert_eq!(
        page[0].local,
        vec![Cell::Integer(2), text("local"), text("2"), Cell::Null]
    );
    let rest = writer.conflicts(2).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].position, 4);
    writer
        .resolve(vec![
            (2, Resolution::KeepLocal),
            (3, Resolution::Write(row(3, "both", "3.3", "sad"))),
            (4, Resolution::TakeIncoming),
        ])
        .await
        .unwrap();
    assert_eq!(writer.commit().await.done(), counts(1, 2, 1, 1));
    writer.finish(&[]).await.unwrap();
    assert_eq!(
        site.rows("t").await,
        "(1,same,1.0,sad)\n(2,local,2,)\n(3,both,3.3,sad)\n(4,in,4,happy)\n(5,new,5,sad)"
    );
}

#[tokio::test]
async fn resolutions_cannot_reach_other_rows() {
    for resolutions in [
        vec![(77, Resolution::Write(row(77, "nowhere", "3", "sad")))],
        vec![(77, Resolution::KeepLocal)],
        vec![(3, Resolution::KeepLocal), (3, Resolution::KeepLocal)],
        vec![(3, Resolution::Write(vec![Cell::Integer(3)]))],
    ] {
        let Some((mut site, mut target)) = begin().await else {
            return;
        };
        let mut writer = staged(target.as_mut()).await;
        writer.conflicts(10).await.unwrap();
        let refused = match writer.resolve(resolutions).await {
            Ok(()) => writer.commit().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(refused, DatabaseError::Unsuitable { .. }),
            "{refused}"
        );
        writer.rollback().await.unwrap();
        assert_eq!(
            site.value("SELECT count(*) FROM t WHERE name = 'local'")
                .await,
            "3"
        );
    }
    let Some((_site, mut target)) = begin().await else {
        return;
    };
    let mut writer = staged(target.as_mut()).await;
    assert!(writer.resolve(Vec::new()).await.is_err());
    writer.conflicts(10).await.unwrap();
    let unrepresentable = writer
        .resolve(vec![(3, Resolution::Write(row(3, "x", "three", "sad")))])
        .await
        .unwrap_err();
    assert!(
        matches!(unrepresentable, DatabaseError::Unrepresentable(_)),
        "{unrepresentable}"
    );
}

#[tokio::test]
async fn local_values_are_shown_as_the_incoming_columns_carry_them() {
    let Some(site) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, b boolean, d date, u uuid, n numeric, f double precision);
         INSERT INTO t VALUES (1, true, '2024-02-29', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 0.25, 7)",
    )
    .await
    else {
        return;
    };
    let schema = announced(
        "t",
        &[
            ("id", LogicalType::Any),
            ("b", LogicalType::Integer),
            ("d", LogicalType::Text),
            ("u", LogicalType::Any),
            ("n", LogicalType::Float),
            ("f", LogicalType::Decimal),
        ],
        &["id"],
    );
    let incoming = vec![
        Cell::Integer(1),
        Cell::Integer(0),
        text("2024-03-01"),
        text("00000000-0000-0000-0000-000000000000"),
        Cell::Real(0.5),
        text("8.5"),
    ];
    let mut target = site.target().await;
    let mut writer = overwriting(target.as_mut(), &schema).await;
    writer
        .stage(&block(std::slice::from_ref(&incoming)))
        .await
        .done();
    let page = writer.conflicts(10).await.unwrap();
    assert_eq!(page[0].incoming, incoming);
    assert_eq!(
        page[0].local,
        vec![
            Cell::Integer(1),
            Cell::Integer(1),
            text("2024-02-29"),
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            Cell::Real(0.25),
            text("7"),
        ]
    );
}

#[tokio::test]
async fn a_few_conflicts_among_many_rows_are_all_that_is_written() {
    let Some(mut site) = Site::new(&format!(
        "{SCHEMA} INSERT INTO t SELECT i, 'same', 1, 'sad' FROM generate_series(1, 20) i; \
         UPDATE t SET name = 'local' WHERE id IN (5, 6, 7)"
    ))
    .await
    else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = overwriting(target.as_mut(), &schema()).await;
    let rows: Vec<_> = (1..=21).map(|id| row(id, "same", "1", "sad")).collect();
    writer.stage(&block(&rows)).await.done();
    assert_eq!(writer.conflicts(10).await.unwrap().len(), 3);
    assert!(writer.conflicts(10).await.unwrap().is_empty());
    writer
        .resolve(vec![
            (5, Resolution::KeepLocal),
            (6, Resolution::TakeIncoming),
            (7, Resolution::Write(row(7, "both", "1", "sad"))),
        ])
        .await
        .unwrap();
    assert_eq!(writer.commit().await.done(), counts(1, 2, 17, 1));
    assert_eq!(
        site.rows("(SELECT * FROM t WHERE id IN (5, 6, 7, 21))")
            .await,
        "(21,same,1,sad)\n(5,local,1,sad)\n(6,same,1,sad)\n(7,both,1,sad)"
    );
}

#[tokio::test]
async fn a_page_of_conflicts_is_bounded() {
    let Some(site) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, '' FROM generate_series(1, 2000) i",
    )
    .await
    else {
        return;
    };
    let schema = announced(
        "t",
        &[("id", LogicalType::Integer), ("name", LogicalType::Text)],
        &["id"],
    );
    let long = "x".repeat(10_000);
    let rows: Vec<_> = (1..=2000)
        .map(|id| vec![Cell::Integer(id), text(&long)])
        .collect();
    let mut target = site.target().await;
    let mut writer = overwriting(target.as_mut(), &schema).await;
    writer.stage(&block(&rows)).await.done();
    let (mut seen, mut largest) = (BTreeSet::new(), 0);
    loop {
        let page = writer.conflicts(500).await.unwrap();
        if page.is_empty() {
            break;
        }
        largest = largest.max(page.len());
        for conflict in page {
            assert!(seen.insert(conflict.position), "shown twice");
        }
    }
    assert_eq!(seen.len(), 2000);
    assert!(largest < 200, "{largest}");
    assert_eq!(writer.commit().await.done(), counts(0, 2000, 0, 0));
}
