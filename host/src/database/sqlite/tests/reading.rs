//! Reading files: one state of them, and without a trace.

use super::source::SHOP;
use super::*;

#[tokio::test]
async fn reading_changes_no_file_and_creates_none() {
    for journal in ["delete", "wal"] {
        let folder = Folder::new();
        let shop = folder
            .database(
                "shop.db",
                &format!("PRAGMA journal_mode = {journal}; {SHOP}"),
            )
            .await;
        let before = folder.contents();
        assert_eq!(before.len(), 1, "{journal}");
        shop.tables().await.unwrap();
        shop.count("customer").await.unwrap();
        let snapshot = shop.snapshot().await.unwrap();
        let customer = snapshot.describe("customer").await.unwrap();
        let rows = read(&*snapshot, &customer).await.unwrap();
        assert_eq!(
            rows,
            [
                [integer(1), text("Ana"), text("new")],
                [integer(2), text("Bo"), text("new")]
            ]
        );
        drop(snapshot);
        assert_eq!(folder.contents(), before, "{journal}");
    }
}

#[tokio::test]
async fn a_snapshot_stays_the_same_while_others_write() {
    for journal in ["delete", "wal"] {
        let folder = Folder::new();
        let file = folder.file("shop.db");
        let shop = folder
            .database(
                "shop.db",
                &format!("PRAGMA journal_mode = {journal}; {SHOP}"),
            )
            .await;
        let mut writer = connect(&file).await;
        writer
            .execute("PRAGMA busy_timeout = 0; INSERT INTO customer VALUES (3, 'Cy', NULL)")
            .await
            .unwrap();
        let snapshot = shop.snapshot().await.unwrap();
        writer
            .execute("INSERT INTO customer VALUES (4, 'Di', NULL)")
            .await
            .unwrap();
        writer
            .execute("DELETE FROM customer WHERE id = 1")
            .await
            .unwrap();
        let customer = snapshot.describe("customer").await.unwrap();
        let names = read(&*snapshot, &customer).await.unwrap();
        assert_eq!(names.len(), 3, "{journal}");
        assert_eq!(shop.count("customer").await.unwrap().rows, 3, "{journal}");
        assert_eq!(
            shop.snapshot()
                .await
                .unwrap()
                .describe("customer")
                .await
                .unwrap()
                .columns
                .len(),
            3
        );
        writer
            .execute("INSERT INTO customer VALUES (5, 'Ed', NULL)")
            .await
            .unwrap();
        writer.close().await.unwrap();
    }
}

/// The WAL holds rows that the file does not.
#[tokio::test]
async fn a_wal_without_shm_is_read_in_a_copy() {
    let folder = Folder::new();
    let original = Folder::new();
    let mut writer = connect(&original.file("shop.db")).await;
    writer.execute("PRAGMA journal_mode = wal").await.unwrap();
    writer
        .execute(AssertSqlSafe(SHOP.to_owned()))
        .await
        .unwrap();
    for name in ["shop.db", "shop.db-wal"] {
        std::fs::copy(original.file(name), folder.file(name)).unwrap();
    }
    writer.close().await.unwrap();
    let before = folder.contents();
    let shop = folder.open("shop.db").await;
    assert_eq!(shop.count("customer").await.unwrap().rows, 2);
    let snapshot = shop.snapshot().await.unwrap();
    let customer = snapshot.describe("customer").await.unwrap();
    assert_eq!(read(&*snapshot, &customer).await.unwrap().len(), 2);
    drop(snapshot);
    assert_eq!(folder.contents(), before);
}

#[tokio::test]
async fn an_interrupted_writers_journal_is_an_error_that_says_what_to_do() {
    let folder = Folder::new();
    let original = Folder::new();
    let mut writer = connect(&original.file("shop.db")).await;
    writer
        // Without syncs, a journal is complete from its first page on, whenever pages leave the cache.
        .execute(
            "PRAGMA synchronous = OFF; CREATE TABLE t (a);
             INSERT INTO t SELECT randomblob(4000) FROM pragma_function_list LIMIT 100;
             BEGIN; UPDATE t SET a = randomblob(4000)",
        )
        .await
        .unwrap();
    for name in ["shop.db", "shop.db-journal"] {
        std::fs::copy(original.file(name), folder.file(name)).unwrap();
    }
    let before = folder.contents();
    let error = SqliteDatabase::open(&folder.file("shop.db"), false)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("journal is rolled back"), "{error}");
    assert_eq!(folder.contents(), before);

    // A target may be written, so that a crashed run can be resumed.
    let target = SqliteDatabase::open(&folder.file("shop.db"), true)
        .await
        .unwrap();
    assert!(!folder.file("shop.db-journal").exists());
    assert_eq!(target.count("t").await.unwrap().rows, 100);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_unrepresentable_and_names_row_and_column() {
    let folder = Folder::new();
    let database = folder
        .database("bad.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (7, 'x'), (8, CAST(x'ff61' AS TEXT))")
        .await;
    let snapshot = database.snapshot().await.unwrap();
    let table = snapshot.describe("t").await.unwrap();
    match read(&*snapshot, &table).await.unwrap_err() {
        DatabaseError::Unrepresentable(unrepresentable) => {
            assert_eq!(
                (
                    unrepresentable.row.as_str(),
                    unrepresentable.column.as_str()
                ),
                ("2", "a")
            );
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn keyless_tables_come_in_rowid_order_and_large_ones_in_blocks() {
    let folder = Folder::new();
    let database = folder
        .database(
            "large.db",
            "CREATE TABLE t (rowid, a); CREATE INDEX i ON t (a, rowid);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
             INSERT INTO t SELECT i, -i FROM n;",
        )
        .await;
    let snapshot = database.snapshot().await.unwrap();
    let table = snapshot.describe("t").await.unwrap();
    let rows = read(&*snapshot, &table).await.unwrap();
    assert_eq!(rows.len(), 12_000);
    assert!(rows.is_sorted_by_key(|row| match row[0] {
        Cell::Integer(value) => value,
        _ => panic!(),
    }));
    // A receiver that is dropped is not an error.
    let (sender, mut receiver) = mpsc::channel(1);
    let (done, first) = tokio::join!(snapshot.read(Read::all(&table), sender), async move {
        receiver.recv().await
    });
    done.unwrap();
    assert_eq!(first.unwrap().row_count(), crate::rows::FRAME_ROWS);
    let mut narrow = table.clone();
    narrow.columns.remove(0);
    assert_eq!(read(&*snapshot, &narrow).await.unwrap()[0], [integer(-1)]);
}

#[tokio::test]
async fn utf16_databases_and_unusual_names_are_read() {
    let folder = Folder::new();
    let database = folder
        .database("utf16.db", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE \"sélect\" (\"a b\" TEXT, \"from\" BLOB); INSERT INTO \"sélect\" VALUES ('grün', x''), ('', NULL)")
        .await;
    let snapshot = database.snapshot().await.unwrap();
    let table = snapshot.describe("sélect").await.unwrap();
    assert_eq!(
        read(&*snapshot, &table).await.unwrap(),
        [[text("grün"), Cell::Bytes(vec![])], [text(""), Cell::Null]]
    );
}

#[tokio::test]
async fn a_schema_that_is_not_utf8_is_an_error() {
    let folder = Folder::new();
    let sql: String = b"CREATE TABLE t (\xff\xfe INTEGER)"
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let database = folder
        .database(
            "strange.db",
            &format!(
                "CREATE TABLE t (a INTEGER); PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = CAST(x'{sql}' AS TEXT);"
            ),
        )
        .await;
    assert_eq!(database.tables().await.unwrap().len(), 1);
    assert!(matches!(
        database.describe("t").await,
        Err(DatabaseError::Refused(_))
    ));
}

/// Closing any handle of a file would drop the locks by which SQLite keeps other processes out.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn reading_a_file_drops_no_lock_of_this_process() {
    use std::os::unix::fs::MetadataExt as _;
    for journal in ["delete", "wal"] {
        let folder = Folder::new();
        let file = folder.file("shop.db");
        let shop = folder
            .database(
                "shop.db",
                &format!("PRAGMA journal_mode = {journal}; {SHOP}"),
            )
            .await;
        let mut writer = connect(&file).await;
        writer
            .execute("BEGIN IMMEDIATE; INSERT INTO customer VALUES (3, 'Cy', NULL)")
            .await
            .unwrap();
        let inode = format!(":{} ", std::fs::metadata(&file).unwrap().ino());
        let locks = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            locks.lines().filter(|lock| lock.contains(&inode)).count()
        };
        let before = locks();
        assert!(before > 0, "{journal}");
        shop.count("customer").await.unwrap();
        shop.snapshot().await.unwrap();
        SqliteDatabase::open(&file, true).await.unwrap();
        // Other connections release theirs in threads of their own; a lock that was dropped would not come back.
        for _ in 0..500 {
            if locks() != before {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        assert_eq!(locks(), before, "{journal}");
        writer.close().await.unwrap();
    }
}
