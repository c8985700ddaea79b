//! What [`to_storage`] accepts is what SQLite gives back.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::bindings::types::{Column, Generation, LogicalType};
use crate::database::sqlite::codec::decimal::looks_like_number;
use crate::database::sqlite::codec::storage::{LocalColumn, SqliteValueRef, read_cell, to_storage};
use crate::database::sqlite::codec::types::Affinity;
use crate::database::sqlite::raw::RawConnection;

const DECLARED: [&str; 9] = [
    "",
    "INTEGER",
    "TEXT",
    "BLOB",
    "REAL",
    "NUMERIC",
    "DECIMAL(10,2)",
    "DATETIME",
    "VARCHAR(5)",
];

fn cells() -> impl Strategy<Value = Cell> {
    prop_oneof![
        Just(Cell::Null),
        any::<bool>().prop_map(Cell::Boolean),
        prop_oneof![
            any::<i64>(),
            -3i64..3,
            Just(i64::MIN),
            Just(i64::MAX),
            Just((1 << 53) + 1)
        ]
        .prop_map(Cell::Integer),
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<i32>().prop_map(f64::from),
            any::<i64>().prop_map(|value| value as f64),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(i64::MAX as f64),
        ]
        .prop_map(Cell::Real),
        prop_oneof![
            number_like(),
            any::<String>(),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?",
            any::<f64>().prop_map(|value| value.to_string()),
        ]
        .prop_map(Cell::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Cell::Bytes),
    ]
}

fn number_like() -> impl Strategy<Value = String> {
    "[ \\t\\n\\x0b\\x0c\\r]{0,2}[-+]{0,2}[0-9]{0,22}\\.?[0-9]{0,3}([eE]?[-+]?[0-9]{0,4})?[ xXinfa\\x00\u{a0}]{0,2}"
}

fn logicals() -> impl Strategy<Value = LogicalType> {
    prop_oneof![
        Just(LogicalType::Boolean),
        Just(LogicalType::Integer),
        Just(LogicalType::Float),
        Just(LogicalType::Decimal),
        Just(LogicalType::Text),
        Just(LogicalType::Bytes),
        Just(LogicalType::Date),
        Just(LogicalType::Time),
        Just(LogicalType::Timestamp),
        Just(LogicalType::Timestamptz),
        Just(LogicalType::Uuid),
        Just(LogicalType::Any),
    ]
}

fn same(left: SqliteValueRef<'_>, right: SqliteValueRef<'_>) -> bool {
    match (left, right) {
        (SqliteValueRef::Real(left), SqliteValueRef::Real(right)) => {
            left.to_bits() == right.to_bits()
        }
        _ => left == right,
    }
}

/// A table with a column for each declared type.
async fn table() -> SqliteConnection {
    let mut connection = connect(":memory:".as_ref()).await;
    let columns: Vec<_> = DECLARED
        .iter()
        .enumerate()
        .map(|(index, declared)| format!("c{index} {declared}"))
        .collect();
    let sql = format!("CREATE TABLE t ({})", columns.join(", "));
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection
}

/// Stores a value in a column and reads it back.
fn put<T>(
    connection: &RawConnection<'_>,
    column: usize,
    value: SqliteValueRef<'_>,
    look: impl FnOnce(SqliteValueRef<'_>) -> T,
) -> T {
    connection.execute("DELETE FROM t", &[]).unwrap();
    let insert = format!("INSERT INTO t (c{column}) VALUES (?)");
    connection.execute(&insert, &[value]).unwrap();
    let mut select = connection
        .prepare(&format!("SELECT c{column} FROM t"))
        .unwrap();
    let mut rows = select.query(&[]).unwrap();
    look(rows.next().unwrap().unwrap().get(0).unwrap())
}

fn check(
    connection: &RawConnection<'_>,
    case: (Cell, LogicalType, usize, bool),
    accepted: &mut u32,
) -> Result<(), TestCaseError> {
    let (cell, logical, column, from_postgres) = case;
    let local = LocalColumn {
        name: "c".to_owned(),
        affinity: Affinity::of(DECLARED[column], false),
        rowid: false,
        keeps_float_bits: from_postgres && DECLARED[column] == "REAL",
    };
    let Ok(value) = to_storage((&cell).into(), &logical, &local) else {
        return Ok(());
    };
    *accepted += 1;
    let described = Column {
        name: local.name.clone(),
        logical: logical.clone(),
        origin: if from_postgres { "pg:x" } else { "sqlite:x" }.to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    let value = value.borrow();
    put(connection, column, value, |back| {
        prop_assert!(same(back, value), "{value:?} came back as {back:?}");
        // Decimals may be stored as numbers, and booleans are stored as 0 and 1.
        if logical != LogicalType::Decimal && logical != LogicalType::Boolean {
            let mut scratch = [0; 16];
            let again = read_cell(back, &described, &mut scratch).map_err(TestCaseError::fail)?;
            match (again, &cell) {
                (CellRef::Real(again), Cell::Real(cell)) => {
                    prop_assert_eq!(again.to_bits(), cell.to_bits())
                }
                (again, cell) => prop_assert_eq!(again, CellRef::from(cell)),
            }
        }
        Ok(())
    })
}

#[test]
fn what_is_accepted_comes_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut connection = runtime.block_on(table());
    let connection = runtime
        .block_on(RawConnection::lock(&mut connection))
        .unwrap();
    let accepted = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(
            &(cells(), logicals(), 0..DECLARED.len(), any::<bool>()),
            |case| {
                let mut count = accepted.get();
                let checked = check(&connection, case, &mut count);
                accepted.set(count);
                checked
            },
        )
        .unwrap();
    assert!(
        accepted.get() > 500,
        "hardly anything was accepted: {}",
        accepted.get()
    );
}

#[test]
fn texts_that_look_like_numbers_are_those_that_sqlite_converts() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut connection = runtime.block_on(table());
    let connection = runtime
        .block_on(RawConnection::lock(&mut connection))
        .unwrap();
    let numeric = DECLARED
        .iter()
        .position(|declared| *declared == "NUMERIC")
        .unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&number_like(), |text| {
            let converted = put(&connection, numeric, SqliteValueRef::Text(&text), |back| {
                !matches!(back, SqliteValueRef::Text(_))
            });
            prop_assert_eq!(looks_like_number(&text), converted, "{:?}", text);
            Ok(())
        })
        .unwrap();
}
