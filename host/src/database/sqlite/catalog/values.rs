//! Looks at every value of a table, in slices: which kinds of values each column really holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::Table;
use crate::bindings::types::{ColumnValues, Generation, ValueKind};
use crate::database::sqlite::codec::storage::{SqliteValue, SqliteValueRef};
use crate::database::sqlite::file::access::Reader;
use crate::database::sqlite::raw::{self, RawConnection, Row, kinds};
use crate::database::{DatabaseError, Origin, quote};

/// How long one slice reads: in a file with a rollback journal no writer can commit meanwhile.
const SLICE: Duration = Duration::from_millis(200);

/// The rows between two looks at the clock.
const STRIDE: u32 = 256;

/// The most tables whose scans wait to be continued; a peer that asks for more begins some of them again.
const MAX_SCANS: usize = 1_000;

/// The scans that have not come to their end, by table.
#[derive(Debug, Default)]
pub struct Scans(Mutex<HashMap<String, Scan>>);

impl Scans {
    /// Takes out the scan of a table, or begins one.
    pub fn take(&self, table: &Table) -> Scan {
        let found = self.scans().remove(&table.schema.table);
        found
            .filter(|scan| scan.is_of(table))
            .unwrap_or_else(|| Scan::of(table))
    }

    /// Keeps a scan that goes on later.
    pub fn keep(&self, table: &str, scan: Scan) {
        let mut scans = self.scans();
        if scans.len() >= MAX_SCANS {
            scans.clear();
        }
        scans.insert(table.to_owned(), scan);
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn scans(&self) -> MutexGuard<'_, HashMap<String, Scan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value of a key, owned.
#[derive(Clone, Debug)]
enum KeyValue {
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl KeyValue {
    /// Returns none for NULL, which is no part of a key by which rows are ordered, and for a text that is not UTF-8.
    fn of(row: Row<'_>, index: usize) -> Option<Self> {
        Some(match row.get(index).ok()? {
            SqliteValueRef::Null => return None,
            SqliteValueRef::Integer(value) => Self::Integer(value),
            SqliteValueRef::Real(value) => Self::Real(value),
            SqliteValueRef::Text(text) => Self::Text(text.to_owned()),
            SqliteValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }

    fn value(&self) -> SqliteValue<'_> {
        match self {
            Self::Integer(value) => SqliteValue::Integer(*value),
            Self::Real(value) => SqliteValue::Real(*value),
            Self::Text(text) => SqliteValue::Text(text.as_str().into()),
            Self::Blob(bytes) => SqliteValue::Blob(bytes),
        }
    }
}

/// What is known of a table's values so far.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The columns whose declared types do not say what they hold.
    columns: Vec<String>,
    /// The kinds of their values so far.
    kinds: Vec<u8>,
    /// The last row that was seen.
    after: Vec<KeyValue>,
}

impl Scan {
    fn of(table: &Table) -> Self {
        let columns: Vec<String> = uncertain(table).cloned().collect();
        Self {
            kinds: vec![0; columns.len()],
            columns,
            after: Vec::new(),
        }
    }

    fn is_of(&self, table: &Table) -> bool {
        uncertain(table).eq(&self.columns)
    }

    /// Reads one slice. Returns the scan, and whether the table has come to its end.
    pub async fn go_on(
        self,
        reader: Arc<AsyncMutex<Reader>>,
        table: &Table,
    ) -> Result<(Self, bool), DatabaseError> {
        if self.columns.is_empty() {
            return Ok((self, true));
        }
        let order = order(table);
        let sql = self.sql(table, &order);
        let reader = reader.lock_owned().await;
        let connection = OwnedMutexGuard::map(reader, |reader| &mut reader.connection);
        raw::work(connection, move |connection| {
            self.read(connection, &sql, order.len())
        })
        .await
    }

    fn sql(&self, table: &Table, order: &[String]) -> String {
        let columns = self.columns.iter().map(|name| format!("t.{}", quote(name)));
        let selected: Vec<String> = columns.chain(order.iter().cloned()).collect();
        let mut sql = format!(
            "SELECT {} FROM main.{} AS t",
            selected.join(", "),
            quote(&table.schema.table)
        );
        if order.is_empty() {
            return sql;
        }
        let order = order.join(", ");
        if !self.after.is_empty() {
            let values = vec!["?"; self.after.len()].join(", ");
            sql.push_str(&format!(" WHERE ({order}) > ({values})"));
        }
        sql.push_str(&format!(" ORDER BY {order}"));
        sql
    }

    fn read(
        mut self,
        connection: &mut RawConnection<'_>,
        sql: &str,
        order: usize,
    ) -> Result<(Self, bool), DatabaseError> {
        let until = Instant::now() + SLICE;
        let after = std::mem::take(&mut self.after);
        let values: Vec<SqliteValue<'_>> = after.iter().map(KeyValue::value).collect();
        let values: Vec<_> = values.iter().map(SqliteValue::borrow).collect();
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(&values)?;
        let mut seen = 0u32;
        while let Some(row) = rows.next()? {
            for (index, kinds) in self.kinds.iter_mut().enumerate() {
                *kinds |= row.kind(index);
            }
            seen = seen.wrapping_add(1);
            let late = seen.is_multiple_of(STRIDE) && Instant::now() >= until;
            if late && order == 0 {
                // It cannot be continued, so that it may hold everything.
                self.kinds.fill(u8::MAX);
                return Ok((self, true));
            }
            if late {
                let first = self.columns.len();
                let key = (first..first + order).map(|index| KeyValue::of(row, index));
                // A row whose key cannot be kept is not the last one of a slice.
                if let Some(key) = key.collect() {
                    self.after = key;
                    return Ok((self, false));
                }
            }
        }
        Ok((self, true))
    }

    /// Returns what was found.
    pub fn values(self) -> Vec<ColumnValues> {
        let columns = self.columns.into_iter().zip(self.kinds);
        columns
            .map(|(column, found)| ColumnValues {
                column,
                kinds: KINDS
                    .iter()
                    .filter(|(bit, _)| found & bit != 0)
                    .map(|(_, kind)| kind.clone())
                    .collect(),
            })
            .collect()
    }
}

const KINDS: [(u8, ValueKind); 7] = [
    (kinds::TRUTH, ValueKind::Truth),
    (kinds::INTEGER, ValueKind::Integer),
    (kinds::REAL, ValueKind::Real),
    (kinds::INFINITY, ValueKind::Infinity),
    (kinds::TEXT, ValueKind::Text),
    (kinds::TEXT_WITH_NUL, ValueKind::TextWithNul),
    (kinds::BYTES, ValueKind::Bytes),
];

/// The sent columns that may hold values of every kind: neither row numbers, nor those that Tombolo made for a type of
/// PostgreSQL.
fn uncertain(table: &Table) -> impl Iterator<Item = &String> {
    let columns = table.schema.columns.iter().zip(&table.storage);
    columns
        .filter(|(column, storage)| {
            !storage.rowid
                && column.generation != Generation::Computed
                && Origin::parse(&column.origin).is_sqlite()
        })
        .map(|(column, _)| &column.name)
}

/// The expressions by which rows are stored in order; none if they have no order that a statement can name.
fn order(table: &Table) -> Vec<String> {
    if table.without_rowid {
        let key = table.schema.primary_key.iter();
        return key.map(|name| format!("t.{}", quote(name))).collect();
    }
    let rowid = table.rowid().map(|name| format!("t.{name}"));
    rowid.into_iter().collect()
}
