//! Tests reading in one consistent view.

use super::*;

#[tokio::test]
async fn a_select_only_login_is_enough() {
    let Some(mut site) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (2, 'b'), (1, 'a');
         CREATE TABLE forbidden (id int);",
    )
    .await
    else {
        return;
    };
    let login = site.server.unique_name("reader");
    let name = site.name.clone();
    site.run(&format!(
        "CREATE ROLE {login} LOGIN PASSWORD 'pw'; REVOKE ALL ON DATABASE {name} FROM PUBLIC;
         GRANT CONNECT ON DATABASE {name} TO {login}; GRANT SELECT ON t TO {login};
         REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER ROLE {login} SET default_transaction_read_only = on;"
    ))
    .await;
    // This login may not read Tombolo's own tables.
    site.target().await;
    let url = site.server.url_as(&login, "pw", &name);
    let reader = PostgresDatabase::open(&url).await.unwrap();
    assert_eq!(reader.tables().await.unwrap().len(), 1);
    assert_eq!(reader.omissions().await.unwrap().len(), 1);
    assert!(reader.count("t").await.unwrap().exact);
    let snapshot = reader.snapshot().await.unwrap();
    let schema = snapshot.describe("t").await.unwrap();
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
    let (done, block) = tokio::join!(snapshot.read(Read::all(&schema), sender), receiver.recv());
    done.unwrap();
    let block = block.unwrap();
    let ids: Vec<_> = block.rows().filter_map(|mut row| row.next()).collect();
    assert_eq!(ids, [CellRef::Integer(1), CellRef::Integer(2)]);

    let schema = snapshot.describe("forbidden").await.unwrap();
    let (sender, _receiver) = mpsc::channel::<RowBlock>(1);
    let error = snapshot.read(Read::all(&schema), sender).await.unwrap_err();
    assert!(error.to_string().contains("42501"), "{error}");
    let schema = snapshot.describe("t").await.unwrap();
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
    snapshot.read(Read::all(&schema), sender).await.unwrap();
    assert_eq!(
        receiver.recv().await.map(|block| block.row_count()),
        Some(2),
        "the view goes on after an error"
    );
    drop(snapshot);
    drop(reader);
    site.run(&format!("DROP OWNED BY {login}; DROP ROLE {login}"))
        .await;
}

#[tokio::test]
async fn all_tables_are_read_as_they_were_at_one_moment() {
    let Some(mut site) = Site::new(
        "CREATE TABLE a (id int PRIMARY KEY, pad text); CREATE TABLE b (id int);
         INSERT INTO a SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i; INSERT INTO b VALUES (1);
         CREATE TABLE heir () INHERITS (b); INSERT INTO heir VALUES (2);
         CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id);
         CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO parts SELECT generate_series(1, 10)",
    )
    .await
    else {
        return;
    };
    let snapshot = site.database.snapshot().await.unwrap();
    site.run("DELETE FROM a WHERE id > 10; INSERT INTO b VALUES (3)")
        .await;

    let schema = snapshot.describe("a").await.unwrap();
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
    let early = async {
        let first = receiver.recv().await.map(|block| block.row_count());
        drop(receiver);
        first
    };
    let (done, first) = tokio::join!(snapshot.read(Read::all(&schema), sender), early);
    done.unwrap();
    assert!(
        first.is_some_and(|rows| rows < 3_000),
        "a block is bounded: {first:?}"
    );

    for (table, expected) in [("a", 20_000), ("b", 1), ("parts", 10)] {
        let schema = snapshot.describe(table).await.unwrap();
        let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
        let count = async {
            let mut rows = 0;
            while let Some(block) = receiver.recv().await {
                rows += block.row_count();
            }
            rows
        };
        let (done, rows) = tokio::join!(snapshot.read(Read::all(&schema), sender), count);
        done.unwrap();
        assert_eq!(rows, expected, "{table}");
    }
}

#[tokio::test]
async fn types_without_a_binary_form_of_their_own_are_read_as_printed() {
    let Some(source) = Site::new(
        "CREATE TYPE pair AS (a int, b text);
         CREATE TABLE t (id int PRIMARY KEY, ip inet, p pair, c char(3)[], i interval);
         INSERT INTO t VALUES (1, '::1', ROW(NULL, NULL), '{a}', '1.5 days'), (2, NULL, NULL, NULL, NULL)",
    )
    .await
    else {
        return;
    };
    let (_, blocks) = read(&source, "t").await;
    let rows: Vec<Vec<Cell>> = blocks[0]
        .rows()
        .map(|row| row.map(CellRef::to_cell).collect())
        .collect();
    assert_eq!(
        rows[0][1..],
        [
            text("::1"),
            text("(,)"),
            text("{\"a  \"}"),
            text("1 day 12:00:00")
        ]
    );
    assert_eq!(
        rows[1][1..],
        [Cell::Null, Cell::Null, Cell::Null, Cell::Null]
    );
}

#[tokio::test]
async fn settings_of_the_login_do_not_change_what_is_read() {
    let Some(mut source) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, i interval, tz timestamptz[], b bytea[], f float8[], m money);
         INSERT INTO t VALUES (1, '1 day', '{2024-01-01 00:00:00+00}', '{\\x00}', '{0.1}', 12.5)",
    )
    .await
    else {
        return;
    };
    let (_, before) = read(&source, "t").await;
    let name = source.name.clone();
    source
        .run(&format!(
            "ALTER DATABASE {name} SET IntervalStyle = 'iso_8601'; ALTER DATABASE {name} SET DateStyle = 'German';
             ALTER DATABASE {name} SET TimeZone = 'Asia/Kolkata'; ALTER DATABASE {name} SET bytea_output = 'escape';
             ALTER DATABASE {name} SET extra_float_digits = -10; ALTER DATABASE {name} SET statement_timeout = 1"
        ))
        .await;
    let (_, after) = read(&source, "t").await;
    assert_eq!(before[0].digest(), after[0].digest());
}
