//! Looking at files and reading them without a trace.

use super::*;
use crate::bindings::database::TableKind;
use crate::bindings::types::{Generation, LogicalType};

const SHOP: &str = "
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, tag DEFAULT 'new');
    CREATE TABLE \"Order Line\" (
        \"order\" INT, \"größe \"\"x\"\"\" NVARCHAR(10), customer INTEGER REFERENCES CUSTOMER(id),
        total DECIMAL(10,2) AS (\"order\" * 2) STORED, paid BOOLEAN, at DATETIME,
        PRIMARY KEY (\"größe \"\"x\"\"\", \"order\"), UNIQUE (customer, at)) WITHOUT ROWID;
    CREATE UNIQUE INDEX partial ON customer (name) WHERE id > 5;
    CREATE UNIQUE INDEX expression ON customer (lower(name));
    CREATE VIEW everybody AS SELECT name FROM customer;
    CREATE VIRTUAL TABLE words USING fts5(word);
    CREATE TABLE tombolo_ledger (run);
    INSERT INTO customer (id, name) VALUES (2, 'Bo'), (1, 'Ana');";

#[tokio::test]
async fn tables_are_listed_without_system_tables() {
    let folder = Folder::new();
    let shop = folder.database("shop.db", SHOP).await;
    let tables: Vec<_> = shop
        .tables()
        .await
        .unwrap()
        .into_iter()
        .map(|table| (table.table, table.kind))
        .collect();
    assert_eq!(
        tables,
        [
            ("Order Line".to_owned(), TableKind::Table),
            ("customer".to_owned(), TableKind::Table),
            ("everybody".to_owned(), TableKind::View),
            (
                "words".to_owned(),
                TableKind::Other("virtual table".to_owned())
            ),
        ]
    );
}

#[tokio::test]
async fn a_table_is_described() {
    let folder = Folder::new();
    let shop = folder.database("shop.db", SHOP).await;
    let customer = shop.describe("customer").await.unwrap();
    assert_eq!(customer.primary_key, ["id"]);
    assert_eq!(customer.unique_keys, Vec::<Vec<String>>::new());
    let columns: Vec<_> = customer
        .columns
        .iter()
        .map(|column| {
            (
                column.name.as_str(),
                column.origin.as_str(),
                column.nullable,
                column.default.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            ("id", "sqlite:INTEGER", true, None),
            ("name", "sqlite:TEXT", false, None),
            ("tag", "sqlite:", true, Some("'new'")),
        ]
    );
    assert_eq!(customer.columns[0].generation, Generation::IdentityDefault);
    assert_eq!(customer.columns[2].logical, LogicalType::Any);

    let line = shop.describe("Order Line").await.unwrap();
    assert_eq!(line.primary_key, ["größe \"x\"", "order"]);
    assert_eq!(line.unique_keys, [["customer", "at"]]);
    assert_eq!(line.foreign_keys[0].columns, ["customer"]);
    assert_eq!(line.foreign_keys[0].referenced_table, "customer");
    assert_eq!(line.foreign_keys[0].referenced_columns, ["id"]);
    assert_eq!(line.columns[3].generation, Generation::Computed);
    assert_eq!(line.columns[4].logical, LogicalType::Boolean);
    assert_eq!(line.columns[5].logical, LogicalType::Text);
    assert!(!line.columns[0].nullable);
}

#[tokio::test]
async fn only_a_rowid_alias_is_numbered() {
    let folder = Folder::new();
    let database = folder
        .database(
            "keys.db",
            "CREATE TABLE a (id INTEGER PRIMARY KEY);
             CREATE TABLE b (id INTEGER PRIMARY KEY DESC);
             CREATE TABLE c (id INT PRIMARY KEY);
             CREATE TABLE d (id INTEGER PRIMARY KEY) WITHOUT ROWID;
             CREATE TABLE e (a INTEGER, b INTEGER, PRIMARY KEY (b, a));
             CREATE TABLE f (id INTEGER, PRIMARY KEY (id DESC));
             CREATE TABLE g (id INTEGER PRIMARY KEY) STRICT;",
        )
        .await;
    for (table, numbered, nullable) in [
        ("a", true, true),
        ("b", false, true),
        ("c", false, true),
        ("d", false, false),
        ("e", false, true),
        ("f", true, true),
        ("g", true, true),
    ] {
        let column = database.describe(table).await.unwrap().columns.remove(0);
        assert_eq!(
            column.generation == Generation::IdentityDefault,
            numbered,
            "{table}"
        );
        assert_eq!(column.nullable, nullable, "{table}");
    }
    assert_eq!(
        database.describe("e").await.unwrap().primary_key,
        ["b", "a"]
    );
}

#[tokio::test]
async fn what_cannot_be_transferred_is_named() {
    let folder = Folder::new();
    let shop = folder.database("shop.db", SHOP).await;
    for table in [
        "nothing",
        "tombolo_ledger",
        "sqlite_schema",
        "words_data",
        "Customer",
        "a\"; DROP TABLE customer",
    ] {
        assert!(
            matches!(
                shop.describe(table).await,
                Err(DatabaseError::NotFound { .. })
            ),
            "{table}"
        );
        assert!(
            matches!(shop.count(table).await, Err(DatabaseError::NotFound { .. })),
            "{table}"
        );
    }
    assert!(matches!(
        shop.describe("everybody").await,
        Err(DatabaseError::View { .. })
    ));
    assert!(matches!(
        shop.describe("words").await,
        Err(DatabaseError::Unsuitable { .. })
    ));
    let snapshot = shop.snapshot().await.unwrap();
    let mut ledger = snapshot.describe("customer").await.unwrap();
    ledger.table = "tombolo_ledger".to_owned();
    assert!(matches!(
        read(&*snapshot, &ledger).await,
        Err(DatabaseError::NotFound { .. })
    ));
}

#[tokio::test]
async fn other_files_are_refused_with_the_reason() {
    let folder = Folder::new();
    let open =
        async |name: &str, create| match SqliteDatabase::open(&folder.file(name), create).await {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        };
    assert!(open("missing.db", false).await.contains("no such file"));
    std::fs::write(
        folder.file("notes.txt"),
        "just some notes, long enough to be no header of a database",
    )
    .unwrap();
    assert!(
        open("notes.txt", false)
            .await
            .contains("is not a SQLite database")
    );
    assert!(
        open("notes.txt", true)
            .await
            .contains("is not a SQLite database")
    );
    std::fs::create_dir(folder.file("folder")).unwrap();
    assert!(open("folder", false).await.contains("not a file"));
    assert!(open("nowhere/new.db", true).await.contains("no folder"));
    assert_eq!(folder.contents_names(), ["folder", "notes.txt"]);
    assert_eq!(open("new.db", true).await, "opened");
    assert_eq!(open(":memory:", true).await, "opened");
    assert_eq!(
        folder.contents_names(),
        [":memory:", "folder", "new.db", "notes.txt"]
    );
}

impl Folder {
    fn contents_names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn the_same_file_has_one_identity() {
    let folder = Folder::new();
    let one = folder.database("a.db", "CREATE TABLE t (a)").await;
    let other = folder.database("b.db", "CREATE TABLE t (a)").await;
    std::fs::create_dir(folder.file("sub")).unwrap();
    let same = SqliteDatabase::open(&folder.file("sub/../a.db"), false)
        .await
        .unwrap();
    assert_eq!(one.identity(), same.identity());
    assert_ne!(one.identity(), other.identity());
    assert_eq!(one.identity().len(), 64);
}

#[tokio::test]
async fn rows_are_counted_or_estimated() {
    let folder = Folder::new();
    let database = folder
        .database(
            "count.db",
            "CREATE TABLE t (a); CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID; CREATE TABLE empty (a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i FROM n;
             INSERT INTO w SELECT a FROM t;",
        )
        .await;
    let count = database.count("t").await.unwrap();
    assert_eq!((count.rows, count.exact), (20_000, true));
    assert_eq!(database.count("empty").await.unwrap().rows, 0);

    let mut connection = connect(&folder.file("count.db")).await;
    for table in ["t", "w"] {
        let table = super::super::schema::table(&mut connection, "count.db", table)
            .await
            .unwrap();
        let estimate = super::super::count(&mut connection, &table, std::time::Duration::ZERO)
            .await
            .unwrap();
        assert_eq!((estimate.rows, estimate.exact), (20_000, false));
    }
}

#[tokio::test]
async fn reading_leaves_no_trace() {
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
async fn a_snapshot_stands_still_while_writers_go_on() {
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

/// The log holds rows that the file does not.
#[tokio::test]
async fn a_log_without_its_index_is_read_in_a_copy() {
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
        .execute(
            "PRAGMA cache_size = 5; CREATE TABLE t (a);
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

    // A target may be written: going on after a crash of our own must be possible.
    let target = SqliteDatabase::open(&folder.file("shop.db"), true)
        .await
        .unwrap();
    assert!(!folder.file("shop.db-journal").exists());
    assert_eq!(target.count("t").await.unwrap().rows, 100);
}

#[tokio::test]
async fn text_that_is_no_utf8_is_a_misfit_that_names_its_place() {
    let folder = Folder::new();
    let database = folder
        .database("bad.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (7, 'x'), (8, CAST(x'ff61' AS TEXT))")
        .await;
    let snapshot = database.snapshot().await.unwrap();
    let table = snapshot.describe("t").await.unwrap();
    match read(&*snapshot, &table).await.unwrap_err() {
        DatabaseError::Misfit(misfit) => {
            assert_eq!((misfit.row.as_str(), misfit.column.as_str()), ("2", "a"));
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
    // A receiver that goes away is no error.
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
async fn utf16_databases_and_strange_names_are_read() {
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
async fn a_schema_that_is_no_utf8_is_an_error() {
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
async fn looking_at_a_file_drops_no_lock_of_this_process() {
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
        assert_eq!(locks(), before, "{journal}");
        writer.close().await.unwrap();
    }
}
