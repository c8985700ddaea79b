//! Files with collations, functions and modules that only their application has.

use super::*;

/// Every table needs the application, but `ordinary`.
const SCHEMA: &str = "
    CREATE TABLE ordinary (id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO ordinary VALUES (1, 'x');
    CREATE TABLE words (word TEXT COLLATE unicase PRIMARY KEY, n) WITHOUT ROWID;
    INSERT INTO words VALUES ('b', 1), ('A', 2), ('c', 3), ('B2', 4), ('', 5);
    CREATE TABLE pairs (n INTEGER, word TEXT COLLATE \"de_DE.utf8\", PRIMARY KEY (n, word)) WITHOUT ROWID;
    INSERT INTO pairs VALUES (1, 'b'), (1, 'A'), (2, 'a');
    CREATE TABLE keyed (word TEXT COLLATE unicase PRIMARY KEY, other TEXT COLLATE unicase UNIQUE);
    INSERT INTO keyed VALUES ('b', 'y'), ('A', 'Z');
    CREATE TABLE indexed (id INTEGER PRIMARY KEY, word TEXT);
    INSERT INTO indexed VALUES (1, 'b'), (2, 'A');
    CREATE INDEX words_of_indexed ON indexed (word COLLATE unicase);
    CREATE TABLE folded (id INTEGER PRIMARY KEY, word TEXT);
    INSERT INTO folded VALUES (1, 'b'), (2, 'A');
    CREATE UNIQUE INDEX words_of_folded ON folded (lower(word));
    CREATE TABLE parts (id INTEGER PRIMARY KEY, word TEXT);
    INSERT INTO parts VALUES (1, 'b'), (2, 'A');
    CREATE INDEX some_of_parts ON parts (word) WHERE lower(word) = 'b';
    CREATE TABLE computed (id INTEGER PRIMARY KEY, word TEXT, low TEXT AS (lower(word)), kept TEXT AS (lower(word)) STORED);
    INSERT INTO computed VALUES (1, 'b'), (2, 'A');
    CREATE TABLE checked (id INTEGER PRIMARY KEY, word TEXT CHECK (lower(word) = word));
    INSERT INTO checked VALUES (1, 'b');
    CREATE VIEW seen AS SELECT lower(word) AS low FROM parts;
    CREATE VIRTUAL TABLE texts USING fts5 (body);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'lower(', 'fold(');
    UPDATE sqlite_schema SET sql = replace(sql, 'fts5', 'module_of_the_application') WHERE name = 'texts';";

/// The tables that cannot be written without the application, with what they need.
const APPLICATIONS: [(&str, usize, &str); 7] = [
    ("words", 5, "unicase"),
    ("pairs", 3, "de_DE.utf8"),
    ("keyed", 2, "unicase"),
    ("indexed", 2, "unicase"),
    ("folded", 2, "fold"),
    ("parts", 2, "fold"),
    ("computed", 2, "fold"),
];

async fn write_as_application(file: &Path) {
    let compare = |left: &str, right: &str| left.to_lowercase().cmp(&right.to_lowercase());
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .collation("unicase", compare)
        .collation("de_DE.utf8", compare)
        .connect()
        .await
        .unwrap();
    connection.execute(SCHEMA).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn tables_that_need_their_application_are_read() {
    let folder = Folder::new();
    write_as_application(&folder.file("app.db")).await;
    let database = folder.open("app.db").await;
    assert!(database.tables().await.unwrap().len() >= 10);
    let snapshot = database.snapshot().await.unwrap();
    let all = [("ordinary", 1, ""), ("checked", 1, "")];
    for (name, rows, _) in APPLICATIONS.iter().chain(&all) {
        let table = snapshot.describe(name).await.unwrap();
        let found = read(&*snapshot, &table).await.unwrap();
        assert_eq!(found.len(), *rows, "{name}");
        let count = database.count(name).await.unwrap();
        assert_eq!((count.rows, count.exact), (*rows as u64, true), "{name}");
    }
}

#[tokio::test]
async fn reading_goes_on_behind_each_key_of_an_unknown_order() {
    let folder = Folder::new();
    write_as_application(&folder.file("app.db")).await;
    let database = folder.open("app.db").await;
    let snapshot = database.snapshot().await.unwrap();
    for name in ["words", "pairs", "keyed"] {
        let table = snapshot.describe(name).await.unwrap();
        let all = read(&*snapshot, &table).await.unwrap();
        let position = |name: &String| table.columns.iter().position(|one| one.name == *name);
        let key: Vec<_> = table.primary_key.iter().filter_map(position).collect();
        for (index, row) in all.iter().enumerate() {
            let after: Vec<Cell> = key.iter().map(|position| row[*position].clone()).collect();
            let (sender, mut receiver) = mpsc::channel(8);
            let wanted = Read {
                after: Some(&after),
                ..Read::all(&table)
            };
            snapshot.read(wanted, sender).await.unwrap();
            let mut rest = Vec::new();
            while let Some(block) = receiver.recv().await {
                rest.extend(
                    block
                        .rows()
                        .map(|row| row.map(CellRef::to_cell).collect::<Vec<_>>()),
                );
            }
            assert_eq!(rest, all[index + 1..], "{name} after {after:?}");
        }
    }
}

#[tokio::test]
async fn tables_that_need_their_application_are_no_targets() {
    let folder = Folder::new();
    write_as_application(&folder.file("app.db")).await;
    let database = folder.open("app.db").await;
    database.check_target("ordinary").await.unwrap();
    for (name, _, need) in APPLICATIONS {
        let Err(error) = database.check_target(name).await else {
            panic!("{name} is taken as a target");
        };
        assert!(matches!(error, DatabaseError::Unsuitable { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(name) && error.contains(need), "{error}");
    }
    // The others can be.
    let table = database.describe("ordinary").await.unwrap();
    let rows = [vec![integer(1), text("y")], vec![integer(2), text("z")]];
    let found = apply(&database, &table, overwrite(&table), &rows).await;
    assert_eq!(found.unwrap(), counts(1, 1, 0, 0));
}
