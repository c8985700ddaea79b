//! Whole tables from a snapshot into a target.

use super::*;

#[tokio::test]
async fn a_table_of_every_kind_comes_through_unchanged() {
    let folder = Folder::new();
    let schema = "
        CREATE TABLE \"Käse \"\"1\"\"\" (\"select\" INTEGER PRIMARY KEY, \"a b\" BLOB, any);
        CREATE TABLE strict (id INT PRIMARY KEY, n ANY, r REAL, t TEXT) STRICT, WITHOUT ROWID;
        CREATE TABLE loose (i INTEGER, t TEXT, b BLOB, r REAL, n NUMERIC, d DATETIME, p BOOLEAN, e);
        CREATE TABLE generated (id INTEGER PRIMARY KEY, a, b AS (a * 2), c AS (a * 3) STORED);";
    let source = folder
        .database(
            "source.db",
            &format!(
                "{schema}
                INSERT INTO \"Käse \"\"1\"\"\" VALUES (-5, x'00ff', 'x'), (9223372036854775807, NULL, 1.5);
                INSERT INTO strict VALUES (1, '1', 1.0, 'a' || char(0) || 'b'), (2, 1, -1e300, ''), (3, x'', NULL, NULL);
                INSERT INTO loose VALUES ('text', 1, 'text', 1, 1.0, 1700000000, 2, 1), (1, x'ff', x'', 9e999, '1e', '2024-01-01', 'no', 1.0),
                    (1.5, 'x', 1, 'x', 0.1, 2451545.5, 0, '1'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
                INSERT INTO generated (id, a) VALUES (1, 10), (2, NULL);"
            ),
        )
        .await;
    for (file, journal) in [("wal.db", "wal"), ("journal.db", "truncate")] {
        let to = folder
            .database(file, &format!("PRAGMA journal_mode = {journal}; {schema}"))
            .await;
        for (table, rows) in [
            ("Käse \"1\"", 2),
            ("strict", 3),
            ("loose", 4),
            ("generated", 2),
        ] {
            let plan = match table {
                "loose" => append(&[]),
                _ => overwrite(&to.describe(table).await.unwrap()),
            };
            // The target's computed columns are not incoming columns.
            let plan = match (table, plan) {
                ("generated", _) => update(&["id"], &[("a", ValueSource::TakeIncoming)]),
                (_, plan) => plan,
            };
            assert_eq!(
                copy(&source, &to, table, plan).await,
                counts(rows, 0, 0, 0),
                "{table}"
            );
            assert_eq!(
                literals(&folder.file(file), table).await,
                literals(&folder.file("source.db"), table).await,
                "{table}"
            );
        }
    }
}

#[tokio::test]
async fn many_chunks_number_their_rows_on() {
    let folder = Folder::new();
    let database = folder
        .database("many.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        .await;
    let table = database.describe("t").await.unwrap();
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, overwrite(&table))
        .await
        .unwrap();
    let rows: Vec<_> = (0..2_345)
        .map(|id| vec![integer(id), text(&format!("row {id}"))])
        .collect();
    let mut sum = ChunkCounts::default();
    for chunk in [0..1_000, 1_000..2_000, 1_500..2_345] {
        for part in rows[chunk].chunks(333) {
            stage(&mut *writer, &block(part)).await;
        }
        sum += committed(&mut *writer).await;
    }
    writer.finish(&[]).await.unwrap();
    assert_eq!(sum, counts(2_345, 0, 500, 0));
    assert_eq!(database.count("t").await.unwrap().rows, 2_345);
}

/// Every table of a real database, by all strategies.
#[tokio::test]
async fn chinook_comes_through() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/chinook.sqlite"
    );
    if !Path::new(file).exists() {
        eprintln!("skipped: the Chinook sample database is not there");
        return;
    }
    let folder = Folder::new();
    let original = folder.file("original.db");
    std::fs::copy(file, &original).unwrap();
    let source = SqliteDatabase::open(Path::new(file), false).await.unwrap();
    let mut schema = connect(&original).await;
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
    )
    .fetch_all(&mut schema)
    .await
    .unwrap();
    schema.close().await.unwrap();
    let copy_db = folder.database("copy.db", &statements.join(";")).await;
    let mut tables: Vec<String> = source
        .tables()
        .await
        .unwrap()
        .into_iter()
        .map(|table| table.table)
        .collect();
    assert_eq!(tables.len(), 11);
    // Parents first.
    let parents = [
        "Artist",
        "Album",
        "Employee",
        "Customer",
        "Genre",
        "MediaType",
        "Track",
        "Invoice",
        "Playlist",
    ];
    tables.sort_by_key(|table| {
        parents
            .iter()
            .position(|parent| parent == table)
            .unwrap_or(parents.len())
    });
    for table in &tables {
        let schema = source.describe(table).await.unwrap();
        let rows = source.count(table).await.unwrap().rows;
        assert_eq!(
            schema.columns,
            copy_db.describe(table).await.unwrap().columns,
            "{table}"
        );
        let key: Vec<_> = schema.primary_key.iter().map(String::as_str).collect();
        assert_eq!(
            copy(&source, &copy_db, table, overwrite(&schema)).await,
            counts(rows, 0, 0, 0),
            "{table}"
        );
        assert_eq!(
            copy(&source, &copy_db, table, overwrite(&schema)).await,
            counts(0, 0, rows, 0),
            "{table}"
        );
        assert_eq!(
            copy(&source, &copy_db, table, skip(&key)).await,
            counts(0, 0, 0, rows),
            "{table}"
        );
        assert!(
            literals(&folder.file("copy.db"), table).await == literals(&original, table).await,
            "{table}"
        );
    }
    assert_eq!(
        copy(&source, &copy_db, "Track", append(&["TrackId"]))
            .await
            .created,
        3_503
    );
}
