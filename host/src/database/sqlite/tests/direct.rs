//! Rows that go into a table of the run as they come.

use super::*;
use crate::database::buckets_of;

const MADE: &str = "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price DECIMAL(8,2), note TEXT, version INTEGER CHECK (version < 100))";

async fn empty(folder: &Folder) -> SqliteDatabase {
    SqliteDatabase::open(&folder.file("new.db"), true)
        .await
        .unwrap()
}

/// A load that creates its table.
async fn making(folder: &Folder, reject_limit: u64) -> TableWrite {
    if !folder.file("goods.db").exists() {
        write(&folder.file("goods.db"), GOODS).await;
    }
    let table = folder
        .open("goods.db")
        .await
        .describe("goods")
        .await
        .unwrap();
    TableWrite {
        create: Some(vec![statement(MADE)]),
        reject_limit,
        ..load("run", &table, overwrite(&table))
    }
}

fn many(range: std::ops::Range<i64>) -> Vec<Vec<Cell>> {
    range.map(|id| good(id, "x", 1.5, None, 1)).collect()
}

/// Asserts that the table holds what the outcome says.
async fn assert_read_back(database: &SqliteDatabase, load: &TableWrite, loaded: &WriteOutcome) {
    let snapshot = database.snapshot().await.unwrap();
    let total = buckets_of(&*snapshot, Read::compared(&load.incoming))
        .await
        .unwrap()
        .total();
    assert_eq!(
        (total.rows, Some(total.digest)),
        (loaded.counts.created, digest(loaded))
    );
}

async fn has_staging(writer: &mut dyn TableWriter) -> bool {
    // Rows that go directly into the table are never conflicts.
    !writer.conflicts(10).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_new_table_is_filled_directly_chunk_by_chunk_and_run_by_run() {
    let folder = Folder::new();
    let database = empty(&folder).await;
    let load = making(&folder, 0).await;
    let mut target = target(&database).await;
    let mut writer = target.begin_table(load.clone()).await.unwrap();
    for range in [1..4, 4..9] {
        stage(&mut *writer, &block(&many(range))).await;
        assert!(!has_staging(&mut *writer).await);
        committed(&mut *writer).await;
    }
    // What is not committed is not counted.
    stage(&mut *writer, &block(&many(100..200))).await;
    writer.rollback().await.unwrap();
    stage(&mut *writer, &block(&many(9..11))).await;
    committed(&mut *writer).await;
    drop(writer);

    let (counted, loaded) = load_rows(&database, load.clone(), &many(11..14))
        .await
        .unwrap();
    assert_eq!(
        (counted, loaded.counts),
        (counts(3, 0, 0, 0), counts(13, 0, 0, 0))
    );
    assert_read_back(&database, &load, &loaded).await;
}

#[tokio::test]
async fn bad_rows_leave_a_direct_load_singly() {
    let folder = Folder::new();
    let database = empty(&folder).await;
    let load = making(&folder, 10).await;
    let mut rows = many(1..1_001);
    rows[10][1] = Cell::Null;
    rows[500][4] = integer(100);
    rows[999][2] = text("0.12345678901234567890");
    let (counted, loaded) = load_rows(&database, load.clone(), &rows).await.unwrap();
    let expected = ChunkCounts {
        failed: 3,
        ..counts(997, 0, 0, 0)
    };
    assert_eq!((counted, loaded.counts), (expected, expected));
    assert_read_back(&database, &load, &loaded).await;
    let rejects = database.rejects(10).await.unwrap();
    let found: Vec<_> = rejects.iter().map(|reject| reject.row).collect();
    assert_eq!(found, [11, 501, 1_000]);
    assert_eq!(RowBlock::parse_row(&rejects[1].cells).unwrap(), rows[500]);
}

/// Creates the run's table, runs the SQL of another program, and stages rows, whose chunk is rolled back.
async fn interfered(
    others: &str,
    rows: &[Vec<Cell>],
) -> (Folder, SqliteDatabase, Box<dyn Target>, Step<()>) {
    let folder = Folder::new();
    let database = empty(&folder).await;
    let mut target = target(&database).await;
    let mut writer = target.begin_table(making(&folder, 10).await).await.unwrap();
    stage(&mut *writer, &block(&many(1..4))).await;
    committed(&mut *writer).await;
    write(&folder.file("new.db"), others).await;
    let staged = writer.stage(&block(rows)).await.unwrap();
    writer.rollback().await.unwrap();
    drop(writer);
    (folder, database, target, staged)
}

#[tokio::test]
async fn a_key_that_exists_sends_the_rows_through_the_staging() {
    let (folder, database, mut target, staged) = interfered(
        "INSERT INTO goods VALUES (5, 'theirs', 1, NULL, 1)",
        &many(4..7),
    )
    .await;
    assert_eq!(staged, Step::NeedsStaging);
    let load = TableWrite {
        mode: LoadMode::Staged,
        ..making(&folder, 0).await
    };
    let mut writer = target.begin_table(load).await.unwrap();
    stage(&mut *writer, &block(&many(4..7))).await;
    assert!(has_staging(&mut *writer).await);
    assert_eq!(committed(&mut *writer).await, counts(2, 1, 0, 0));
    let loaded = writer.finish(&[]).await.unwrap();
    // The first chunk was not verified, and cannot be any more.
    assert!(matches!(known(&loaded), Stored::Unverified(_)));
    assert_eq!(database.count("goods").await.unwrap().rows, 6);
}

#[tokio::test]
async fn a_table_that_others_wrote_to_is_not_filled_directly_by_the_next_run() {
    let (folder, database, mut target, staged) =
        interfered("DELETE FROM goods WHERE id = 1", &many(4..5)).await;
    assert_eq!(staged, Step::Done(()));
    let load = making(&folder, 0).await;
    let mut writer = target.begin_table(load).await.unwrap();
    stage(&mut *writer, &block(&many(3..6))).await;
    assert_eq!(committed(&mut *writer).await, counts(2, 0, 1, 0));
    known(&writer.finish(&[]).await.unwrap());
    assert_eq!(database.count("goods").await.unwrap().rows, 4);
}

#[tokio::test]
async fn values_of_another_form_and_missing_parents_need_the_staging() {
    let mut other_form = many(4..6);
    // The column gives back 1.1, which is the same number.
    other_form[1][2] = text("1.10");
    let (folder, _database, mut target, staged) = interfered("SELECT 1", &other_form).await;
    assert_eq!(staged, Step::NeedsStaging);
    let load = TableWrite {
        mode: LoadMode::Staged,
        ..making(&folder, 0).await
    };
    let mut writer = target.begin_table(load).await.unwrap();
    stage(&mut *writer, &block(&other_form)).await;
    committed(&mut *writer).await;
    known(&writer.finish(&[]).await.unwrap());

    let folder = Folder::new();
    let database = folder
        .database(
            "t.db",
            "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1)",
        )
        .await;
    let template = folder
        .database("template.db", "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p)")
        .await;
    let table = template.describe("t").await.unwrap();
    let load = |mode| TableWrite {
        create: Some(vec![statement(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p)",
        )]),
        mode,
        reject_limit: 1,
        ..super::load("run", &table, overwrite(&table))
    };
    let rows = [vec![integer(1), integer(1)], vec![integer(2), integer(2)]];
    let refused = try_rows(&database, load(LoadMode::Direct), &rows).await;
    assert_eq!(refused.unwrap(), Step::NeedsStaging);
    let (counted, loaded) = load_rows(&database, load(LoadMode::Staged), &rows)
        .await
        .unwrap();
    assert_eq!((counted.created, counted.failed), (1, 1));
    assert_eq!(known(&loaded), Stored::Verified);
}

#[tokio::test]
async fn a_complete_table_reports_the_same_counts_again() {
    let folder = Folder::new();
    let database = empty(&folder).await;
    let load = making(&folder, 0).await;
    let (_, first) = load_rows(&database, load.clone(), &many(1..9))
        .await
        .unwrap();
    let mut target = target(&database).await;
    let writer = target.begin_table(load.clone()).await.unwrap();
    let again = writer.finish(&[]).await.unwrap();
    assert_eq!(again.counts, first.counts);
    // Other programs may have written meanwhile.
    assert!(digest(&first).is_some());
    assert!(matches!(known(&again), Stored::Unverified(_)));
}

#[tokio::test]
async fn a_table_of_the_run_is_dropped_only_while_it_is_empty() {
    // What happens before the table is dropped, whether the run makes the table, and whether it is there in the end.
    let cases = [
        ("", true, false),
        (
            "INSERT INTO goods VALUES (-1, 'theirs', 1, NULL, 1)",
            true,
            true,
        ),
        ("", false, true),
    ];
    for (between, makes, there) in cases {
        let folder = Folder::new();
        let mut load = making(&folder, 10).await;
        if !makes {
            write(&folder.file("new.db"), MADE).await;
            load.create = None;
        }
        let database = empty(&folder).await;
        let mut target = target(&database).await;
        let writer = target.begin_table(load.clone()).await.unwrap();
        write(&folder.file("new.db"), between).await;
        writer.discard_new_table().await.unwrap();
        let described = folder.open("new.db").await.describe("goods").await;
        assert_eq!(described.is_ok(), there, "{between} {makes}");
    }
    let folder = Folder::new();
    let database = empty(&folder).await;
    let load = making(&folder, 10).await;
    let mut target = target(&database).await;
    let mut writer = target.begin_table(load).await.unwrap();
    stage(&mut *writer, &block(&many(1..4))).await;
    committed(&mut *writer).await;
    writer.discard_new_table().await.unwrap();
    assert!(folder.open("new.db").await.describe("goods").await.is_ok());
}

/// The check of statements is not the only wall: a text is prepared as one statement.
#[tokio::test]
async fn a_second_statement_in_a_checked_text_does_not_run() {
    let folder = Folder::new();
    let database = empty(&folder).await;
    let mut load = making(&folder, 0).await;
    let two = format!("{MADE}; CREATE TABLE u (id INTEGER)");
    load.create = Some(vec![statement(&two)]);
    let mut target = target(&database).await;
    let _ = target.begin_table(load).await;
    let file = folder.open("new.db").await;
    assert!(file.describe("u").await.is_err());
}
