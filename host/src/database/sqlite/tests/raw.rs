//! SQLite's own statements behind safe ones.

use super::*;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::raw::{self, RawConnection};

/// Every storage class, empty and with NUL.
const VALUES: [SqliteValueRef<'static>; 8] = [
    SqliteValueRef::Null,
    SqliteValueRef::Integer(i64::MIN),
    SqliteValueRef::Real(5e-324),
    SqliteValueRef::Text(""),
    SqliteValueRef::Text("a\0b"),
    SqliteValueRef::Blob(&[]),
    SqliteValueRef::Blob(&[0, 255]),
    SqliteValueRef::Real(f64::NEG_INFINITY),
];

fn with_connection(test: impl FnOnce(&RawConnection<'_>)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut connection = runtime.block_on(connect(":memory:".as_ref()));
    test(
        &runtime
            .block_on(RawConnection::lock(&mut connection))
            .unwrap(),
    );
}

#[test]
fn values_come_back_in_their_storage_class() {
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        with_connection(|connection| {
            connection
                .execute(&format!("PRAGMA encoding = '{encoding}'"), &[])
                .unwrap();
            connection
                .execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v)", &[])
                .unwrap();
            let mut insert = connection.prepare("INSERT INTO t (v) VALUES (?)").unwrap();
            for value in VALUES {
                insert.run([value]).unwrap();
            }
            let mut select = connection.prepare("SELECT v, v FROM t ORDER BY n").unwrap();
            let mut rows = select.query(&[]).unwrap();
            for value in VALUES {
                let row = rows.next().unwrap().unwrap();
                let (first, second) = (row.get(0).unwrap(), row.get(1).unwrap());
                assert_eq!((first, second), (value, value));
                // A second call neither moves nor changes what the first result borrows.
                assert_eq!((row.get(0).unwrap(), first), (value, value));
                assert!(row.get(2).is_err());
            }
            assert!(rows.next().unwrap().is_none());
        });
    }
}

#[test]
fn only_invalid_text_is_an_error() {
    with_connection(|connection| {
        let mut select = connection
            .prepare("SELECT CAST(x'61ff' AS TEXT), 1, zeroblob(3), zeroblob(0)")
            .unwrap();
        let mut rows = select.query(&[]).unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.get(0), Err("the text is not valid UTF-8"));
        assert_eq!(row.get(1), Ok(SqliteValueRef::Integer(1)));
        assert_eq!(row.get(2), Ok(SqliteValueRef::Blob(&[0; 3])));
        assert_eq!(row.get(3), Ok(SqliteValueRef::Blob(&[])));
    });
}

#[test]
fn a_statement_takes_exactly_its_parameters_each_time_anew() {
    with_connection(|connection| {
        connection.execute("CREATE TABLE t (a, b)", &[]).unwrap();
        let one = [SqliteValueRef::Integer(1)];
        let mut insert = connection.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
        assert!(insert.run(one).is_err());
        assert!(insert.run([one[0]; 3]).is_err());
        insert.run([one[0]; 2]).unwrap();
        assert!(insert.run(one).is_err());
        assert_eq!(connection.integer("SELECT count(*) FROM t", &[]), Ok(1));

        let mut select = connection.prepare("SELECT ?").unwrap();
        for value in VALUES {
            let values = [value];
            let mut rows = select.query(&values).unwrap();
            assert_eq!(rows.next().unwrap().unwrap().get(0), Ok(value));
            // The rows are never dropped.
            std::mem::forget(rows);
        }
        select.run(one).unwrap();
    });
}

#[test]
fn named_parameters_are_bound_in_any_order_and_all_of_them() {
    with_connection(|connection| {
        connection.execute("CREATE TABLE t (a, b)", &[]).unwrap();
        let (a, b) = (SqliteValueRef::Integer(1), SqliteValueRef::Text("x"));
        let insert = "INSERT INTO t VALUES (:a, :b)";
        let run = |values: &[_]| connection.execute_named(insert, values);
        assert_eq!(run(&[(c":b", b), (c":a", a)]), Ok(1));
        for wrong in [
            &[(c":a", a)][..],
            &[(c":b", b)],
            &[(c":a", a), (c":a", a)],
            &[(c":a", a), (c":c", b)],
            &[(c":a", a), (c":b", b), (c":b", b)],
        ] {
            assert!(run(wrong).is_err(), "{wrong:?}");
        }
        let found = "SELECT count(*) FROM t WHERE a = 1 AND b = 'x'";
        assert_eq!(connection.integer(found, &[]), Ok(1));
    });
}

#[test]
fn errors_have_the_extended_code_and_leave_the_statement_usable() {
    with_connection(|connection| {
        connection
            .execute("CREATE TABLE t (a UNIQUE NOT NULL)", &[])
            .unwrap();
        let mut insert = connection.prepare("INSERT INTO t VALUES (?)").unwrap();
        insert.run([SqliteValueRef::Text("secret")]).unwrap();
        let twice = insert.run([SqliteValueRef::Text("secret")]).unwrap_err();
        assert_eq!(twice.code, 2067);
        assert_eq!(twice.message, "UNIQUE constraint failed: t.a");
        assert_eq!(insert.run([SqliteValueRef::Null]).unwrap_err().code, 1299);
        insert.run([SqliteValueRef::Integer(1)]).unwrap();
        assert!(connection.prepare("").is_err());
        let missing = connection.prepare("SELECT * FROM missing").err().unwrap();
        assert_eq!(missing.message, "no such table: missing");
        assert_eq!(connection.execute("DELETE FROM t", &[]), Ok(2));
    });
}

const ENDLESS: &str =
    "WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";

/// On a runtime with one thread, which has to stay free.
#[tokio::test(flavor = "current_thread")]
async fn work_leaves_the_runtime_alone_and_can_be_interrupted() {
    let connection =
        std::sync::Arc::new(tokio::sync::Mutex::new(connect(":memory:".as_ref()).await));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let guard = std::sync::Arc::clone(&connection).lock_owned().await;
    let work = raw::work(guard, move |connection| {
        connection.interrupt_when(move || stopped.try_recv().is_ok());
        let error = connection.integer(ENDLESS, &[]).unwrap_err();
        assert!(error.is_interrupt(), "{error}");
        Ok(connection.integer("SELECT 1", &[])?)
    });
    let (one, sent) = tokio::join!(work, async { stop.send(()) });
    assert_eq!((one.unwrap(), sent), (1, Ok(())));
    // sqlx has its connection back, without the progress handler.
    let mut connection = connection.lock().await;
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema AS a, sqlite_schema AS b")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    assert_eq!(rows, 0);
}

/// A sort without an index returns its first row late.
#[tokio::test]
async fn a_read_that_nobody_listens_to_ends_and_frees_the_snapshot() {
    let folder = Folder::new();
    let database = folder
        .database(
            "large.db",
            "CREATE TABLE t (a TEXT, b, PRIMARY KEY (a));
             WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n LIMIT 30000)
             INSERT INTO t SELECT n, randomblob(100) FROM n",
        )
        .await;
    let snapshot = database.snapshot().await.unwrap();
    let table = snapshot.describe("t").await.unwrap();
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
    let listener = async move {
        let first = receiver.recv().await.unwrap();
        drop(receiver);
        first.row_count()
    };
    let (done, first) = tokio::join!(snapshot.read(Read::all(&table), sender), listener);
    done.unwrap();
    assert!(first > 0);
    // A dropped call ends as well.
    let (sender, receiver) = mpsc::channel::<RowBlock>(1);
    let given_up = tokio::time::timeout(
        std::time::Duration::from_millis(20),
        snapshot.read(Read::all(&table), sender),
    )
    .await;
    assert!(given_up.is_err());
    drop(receiver);
    assert_eq!(read(&*snapshot, &table).await.unwrap().len(), 30_000);
}
