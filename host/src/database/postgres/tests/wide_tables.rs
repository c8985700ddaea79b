//! Tests tables with as many columns as PostgreSQL allows.

use super::*;

/// Types of columns, an old and a new value as PostgreSQL prints them, and the new value as it arrives.
fn kinds() -> Vec<(&'static str, LogicalType, &'static str, &'static str, Cell)> {
    vec![
        ("smallint", LogicalType::Integer, "1", "2", Cell::Integer(2)),
        ("text", LogicalType::Text, "a", "b", text("b")),
        (
            "boolean",
            LogicalType::Boolean,
            "false",
            "true",
            Cell::Boolean(true),
        ),
        (
            "date",
            LogicalType::Date,
            "2000-01-01",
            "2000-01-06",
            Cell::Integer(5),
        ),
        ("real", LogicalType::Float, "1", "0.5", Cell::Real(0.5)),
        (
            "inet",
            LogicalType::Text,
            "10.0.0.1",
            "10.0.0.2",
            text("10.0.0.2"),
        ),
        ("integer", LogicalType::Integer, "1", "", Cell::Null),
        ("jsonb", LogicalType::Text, "1", "[2]", text("[2]")),
    ]
}

#[tokio::test]
async fn rows_of_1_600_columns_go_into_tables_that_exist_in_postgres() {
    let kinds = kinds();
    // A row has to fit into a page.
    let kind = |at: usize| match at < 1_500 {
        true => &kinds[at % 2],
        false => &kinds[at % kinds.len()],
    };
    let names: Vec<String> = (1..1_600).map(|at| format!("c{at}")).collect();
    let declared: String = (1..1_600)
        .map(|at| format!(", c{at} {}", kind(at).0))
        .collect();
    let old: String = (1..1_600).map(|at| format!(", '{}'", kind(at).2)).collect();
    let make = format!(
        "CREATE TABLE t (id int PRIMARY KEY{declared}); INSERT INTO t SELECT n{old} FROM generate_series(1, 3) n"
    );
    let mut announced_columns = vec![("id", LogicalType::Integer)];
    announced_columns.extend((1..1_600).map(|at| (names[at - 1].as_str(), kind(at).1.clone())));
    let schema = announced("t", &announced_columns, &["id"]);
    let row = |id: i64| {
        let mut row = vec![Cell::Integer(id)];
        row.extend((1..1_600).map(|at| match (id, at) {
            // The last document.
            (5, 1_599) => text("\"\\u0000\""),
            _ => kind(at).4.clone(),
        }));
        row
    };
    let expected: String = (1..1_600)
        .map(|at| match kind(at).3 {
            "true" => ",t".to_owned(),
            other => format!(",{other}"),
        })
        .collect();
    let Some(mut site) = Site::new(&make).await else {
        return;
    };
    let mut target = site.target().await;
    let write = table_write(&schema, overwrite(&schema));
    let mut writer = target.begin_table(write).await.unwrap();
    writer
        .stage(&block(&(2..=5).map(row).collect::<Vec<_>>()))
        .await
        .done();
    let moved = writer.commit().await.done();
    assert_eq!(moved, failed(counts(1, 2, 0, 0), 1));
    drop(writer);
    drop(target);
    for id in [2, 3, 4] {
        let found = site
            .value(&format!("SELECT t FROM t WHERE id = {id}"))
            .await;
        assert_eq!(found, format!("({id}{expected})"));
    }
}
