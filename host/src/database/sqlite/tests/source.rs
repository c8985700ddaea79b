//! Looking at files: what their tables are.

use super::*;
use crate::bindings::database::TableKind;
use crate::bindings::types::{Generation, LogicalType};

pub(super) const SHOP: &str = "
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
        let table = crate::database::sqlite::catalog::table(&mut connection, "count.db", table)
            .await
            .unwrap();
        let estimate =
            crate::database::sqlite::count(&mut connection, &table, std::time::Duration::ZERO)
                .await
                .unwrap();
        assert_eq!((estimate.rows, estimate.exact), (20_000, false));
    }
}
