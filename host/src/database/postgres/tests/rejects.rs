//! Tests which rows are rejected, and how they are stored.

use super::*;

const TABLE: &str = "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
    CREATE DOMAIN small AS int CHECK (VALUE < 1000);
    CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, n int CHECK (n > 0), parent int REFERENCES parent,
        code text UNIQUE, size small, EXCLUDE USING gist (box(point(size, size), point(size, size)) WITH &&)
        WHERE (size > 500));
    INSERT INTO t VALUES (100, 'there', 1, 1, 'taken', 1);";

fn schema() -> TableSchema {
    announced(
        "t",
        &[
            ("id", LogicalType::Integer),
            ("name", LogicalType::Text),
            ("n", LogicalType::Integer),
            ("parent", LogicalType::Integer),
            ("code", LogicalType::Text),
            ("size", LogicalType::Integer),
        ],
        &["id"],
    )
}

fn row(id: i64) -> Vec<Cell> {
    vec![
        Cell::Integer(id),
        text("good"),
        Cell::Integer(1),
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ]
}

fn with(id: i64, column: usize, cell: Cell) -> Vec<Cell> {
    let mut row = row(id);
    row[column] = cell;
    row
}

/// Rows with a fault each, and what their reasons say.
fn faulty() -> Vec<(Vec<Cell>, &'static str)> {
    vec![
        (with(1, 1, text("nul \0")), "\"name\""),
        (with(2, 1, Cell::Null), "NULL is not allowed"),
        (with(3, 2, Cell::Integer(-5)), "t_n_check"),
        (with(4, 3, Cell::Integer(9)), "t_parent_fkey"),
        (with(5, 4, text("taken")), "t_code_key"),
        (with(6, 5, Cell::Integer(5000)), "small_check"),
        (row(7), "arrived before"),
    ]
}

#[tokio::test]
async fn each_layer_rejects_its_rows_and_keeps_them_whole() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let mut rows = vec![
        row(7),
        with(8, 4, text("twice")),
        with(9, 5, Cell::Integer(600)),
    ];
    rows.extend(faulty().into_iter().map(|(row, _)| row));
    rows.push(with(10, 4, text("twice")));
    rows.push(with(11, 5, Cell::Integer(600)));
    let whole = block(&rows);
    let write = table_write(&schema(), skip(&schema()));
    let (moved, outcome) = chunks(&site, write, &[whole]).await.unwrap();
    assert_eq!(moved, failed(counts(3, 0, 0, 0), 9));
    assert_eq!(outcome.stored, Stored::Verified);
    assert_eq!(site.value("SELECT count(*) FROM t").await, "4");

    let kept = site.database.rejects(100).await.unwrap();
    let mut reasons: Vec<_> = faulty().into_iter().map(|(_, reason)| reason).collect();
    reasons.extend(["t_code_key", "exclusion constraint"]);
    assert_eq!(kept.len(), reasons.len());
    let mut numbers: Vec<_> = kept.iter().map(|reject| reject.row).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (4..13).collect::<Vec<_>>());
    for reject in &kept {
        let position = usize::try_from(reject.row).unwrap() - 1;
        assert!(
            reject.reason.contains(reasons[position - 3]),
            "row {}: {}",
            reject.row,
            reject.reason
        );
        assert_eq!(RowBlock::parse_row(&reject.cells).unwrap(), rows[position]);
    }
}

#[tokio::test]
async fn rejects_are_not_among_the_rows_that_the_table_holds() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let good = block(&[row(20), row(21)]);
    let mixed = block(&[row(20), with(3, 2, Cell::Integer(-5)), row(21)]);
    let digest = "SELECT encode(digest, 'hex') FROM tombolo.ledger WHERE run = 'run-1'";
    chunks(&site, table_write(&schema(), skip(&schema())), &[mixed])
        .await
        .unwrap();
    let kept = site.value(digest).await;
    assert_eq!(kept, format!("{:032x}", good.digest()));
}

#[tokio::test]
async fn more_rejects_than_allowed_stop_the_run_and_keep_nothing_of_the_chunk() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let write = TableWrite {
        reject_limit: 2,
        ..table_write(&schema(), skip(&schema()))
    };
    let bad = |id| with(id, 2, Cell::Integer(-5));
    let blocks = [block(&[row(1), bad(2)]), block(&[row(3), bad(4), bad(5)])];
    let stopped = chunks(&site, write, &blocks).await.unwrap_err();
    let DatabaseError::TooManyRejects { limit, reason, .. } = stopped else {
        panic!("{stopped}");
    };
    assert_eq!(limit, 2);
    assert!(
        reason.contains("t_n_check") && !reason.contains("-5"),
        "{reason}"
    );
    assert_eq!(
        site.value("SELECT count(*) FROM tombolo.rejects").await,
        "1"
    );
    assert_eq!(site.value("SELECT count(*) FROM t").await, "2");
}

#[tokio::test]
async fn retried_rejects_are_kept_only_if_they_are_rejected_again() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let rows = block(&[with(1, 3, Cell::Integer(8)), with(2, 3, Cell::Integer(9))]);
    let write = table_write(&schema(), skip(&schema()));
    let (moved, _) = chunks(&site, write.clone(), std::slice::from_ref(&rows))
        .await
        .unwrap();
    assert_eq!(moved, failed(counts(0, 0, 0, 0), 2));
    site.run("INSERT INTO parent VALUES (9)").await;
    let retry = TableWrite {
        retry: true,
        mode: LoadMode::Staged,
        ..write
    };
    let (moved, _) = chunks(&site, retry, &[rows]).await.unwrap();
    assert_eq!(moved, failed(counts(1, 0, 0, 0), 1));
    assert_eq!(
        site.value("SELECT string_agg(key, ',') FROM tombolo.rejects")
            .await,
        "1"
    );
    assert_eq!(site.value("SELECT failed FROM tombolo.ledger").await, "1");
}

#[tokio::test]
async fn one_row_among_many_is_found_whatever_refuses_it() {
    let Some(mut site) = Site::new(
        "CREATE DOMAIN small AS int CHECK (VALUE < 1000000); CREATE TABLE t (id int PRIMARY KEY, size small)",
    )
    .await
    else {
        return;
    };
    let schema = announced(
        "t",
        &[("id", LogicalType::Integer), ("size", LogicalType::Integer)],
        &["id"],
    );
    let bad = [0, 4_095, 4_096, 11_111, 19_999];
    let rows: Vec<_> = (0..20_000)
        .map(|id| {
            let size = if bad.contains(&id) { 2_000_000 } else { 1 };
            vec![Cell::Integer(id), Cell::Integer(size)]
        })
        .collect();
    let write = table_write(&schema, overwrite(&schema));
    let (moved, outcome) = chunks(&site, write, &[block(&rows)]).await.unwrap();
    assert_eq!(moved, failed(counts(19_995, 0, 0, 0), 5));
    assert_eq!(outcome.stored, Stored::Verified);
    let keys = "SELECT string_agg(key, ',' ORDER BY \"row\") FROM tombolo.rejects";
    assert_eq!(site.value(keys).await, "0,4095,4096,11111,19999");
}

#[tokio::test]
async fn orphans_of_orphans_are_rejected_and_families_stay_together() {
    let Some(mut site) =
        Site::new("CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t)").await
    else {
        return;
    };
    let schema = announced(
        "t",
        &[("id", LogicalType::Integer), ("boss", LogicalType::Integer)],
        &["id"],
    );
    // Each refers to the next one; 50 refers to a row that never arrives.
    let rows: Vec<_> = (1..=100)
        .map(|id| {
            let boss = match id {
                50 => Cell::Integer(999),
                100 => Cell::Null,
                _ => Cell::Integer(id + 1),
            };
            vec![Cell::Integer(id), boss]
        })
        .collect();
    let write = table_write(&schema, skip(&schema));
    let (moved, _) = chunks(&site, write, &[block(&rows)]).await.unwrap();
    assert_eq!(moved, failed(counts(50, 0, 0, 0), 50));
    assert_eq!(site.value("SELECT min(id) FROM t").await, "51");
}

#[tokio::test]
async fn rows_that_exist_are_not_rejected_for_what_stays_unwritten() {
    let Some(site) = Site::new(TABLE).await else {
        return;
    };
    let rows = block(&[with(100, 1, Cell::Null), with(100, 2, Cell::Integer(-5))]);
    let (moved, _) = chunks(&site, table_write(&schema(), skip(&schema())), &[rows])
        .await
        .unwrap();
    assert_eq!(
        moved,
        failed(counts(0, 0, 0, 1), 1),
        "the second repeats a key"
    );
    let rows = block(&[with(100, 1, Cell::Null)]);
    let write = TableWrite {
        run: "run-2".to_owned(),
        ..table_write(&schema(), merge(&schema()))
    };
    let (moved, _) = chunks(&site, write, &[rows]).await.unwrap();
    assert_eq!(moved, counts(0, 0, 1, 0), "NULL takes nothing");
}
