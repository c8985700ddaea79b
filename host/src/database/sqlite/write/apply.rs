//! Staged rows into their table: what cannot go is rejected, the rest is written and looked at.

use xxhash_rust::xxh3::xxh3_128;

use super::staging;
use super::table_writer::{Load, position};
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::meta::rejects::fault_of_row;
use crate::database::sqlite::raw::{RawConnection, Row, Statement};
use crate::database::{ChunkCounts, DatabaseError};

/// Staged rows that one statement writes. A row that SQLite refuses is looked for among so many.
const RANGE: i64 = 10_000;

impl Load {
    /// Takes the staged rows into the table, inside of the chunk's transaction.
    pub fn apply(&mut self, connection: &RawConnection<'_>) -> Result<ChunkCounts, DatabaseError> {
        if self.merge.has_key() && self.chunk.may_repeat() {
            let sql = self.merge.repeated();
            self.reject_found(connection, &sql, "its key arrived before in the same chunk")?;
        }
        // The first chunk of a new table needs no look at what exists.
        let merging = self.merge.has_key() && count(connection, &self.merge.is_empty())? == 0;
        if merging && let Some(sql) = self.merge.leave_existing() {
            let left = connection.execute(&sql, &[])?;
            self.chunk.held -= left;
            self.chunk.skipped += left;
        }
        self.reject_orphans(connection)?;
        let mut counts = ChunkCounts::default();
        if merging && let Some(sql) = self.merge.update() {
            counts.updated = self.write(connection, &sql)?;
        }
        let last_rowid = self.last_rowid(connection)?;
        counts.created = self.write(connection, &self.merge.insert(merging))?;
        self.verify(connection, !merging, last_rowid, counts.created)?;
        let rest = self
            .chunk
            .held
            .saturating_sub(counts.created + counts.updated);
        match self.merge.updates() {
            true => counts.same = rest,
            // Triggers dropped them.
            false => counts.skipped = rest,
        }
        counts.skipped += self.chunk.skipped;
        Ok(counts)
    }

    /// Rejects rows whose parents do not exist; rows may be the parents of others.
    fn reject_orphans(&mut self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        let checks = std::mem::take(&mut self.foreign_keys);
        let mut found = true;
        let mut done = Ok(());
        while found && done.is_ok() {
            found = false;
            for check in &checks {
                match self.reject_found(connection, &check.sql, &check.reason) {
                    Ok(rejected) => found |= rejected > 0,
                    Err(error) => done = Err(error),
                }
            }
        }
        self.foreign_keys = checks;
        done
    }

    /// Rejects the rows that a query finds, all for one reason.
    fn reject_found(
        &mut self,
        connection: &RawConnection<'_>,
        sql: &str,
        reason: &str,
    ) -> Result<usize, DatabaseError> {
        let numbers = self.find(connection, sql)?;
        for number in &numbers {
            self.reject_staged(connection, *number, reason)?;
        }
        Ok(numbers.len())
    }

    /// The numbers of staged rows that a query finds.
    pub fn find(
        &self,
        connection: &RawConnection<'_>,
        sql: &str,
    ) -> Result<Vec<i64>, DatabaseError> {
        let mut numbers = Vec::new();
        let mut select = connection.prepare(sql)?;
        // One more than may be, to notice.
        let limit = [SqliteValueRef::Integer(position(
            self.rejects.left().saturating_add(1),
        ))];
        let mut rows = select.query(&limit)?;
        while let Some(row) = rows.next()? {
            if let Ok(SqliteValueRef::Integer(number)) = row.get(0) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    pub fn reject_staged(
        &mut self,
        connection: &RawConnection<'_>,
        number: i64,
        reason: &str,
    ) -> Result<(), DatabaseError> {
        let cells = staging::encoded(connection, &self.layout, number)?;
        self.rejects
            .keep(connection, &self.layout, number, &cells, reason)?;
        staging::take_out(connection, number)?;
        self.chunk.held -= 1;
        self.ledger.rejected(xxh3_128(&cells));
        Ok(())
    }

    /// Runs a statement for all staged rows, rejects those that it cannot take, and gives the number of rows it changed.
    fn write(&mut self, connection: &RawConnection<'_>, sql: &str) -> Result<u64, DatabaseError> {
        let mut statement = connection.prepare(sql)?;
        let (mut first, end) = (
            position(self.chunk.before) + 1,
            position(self.chunk.arrived),
        );
        let mut changed = 0;
        while first <= end {
            let last = end.min(first.saturating_add(RANGE - 1));
            changed += self.write_range(connection, &mut statement, first, last)?;
            first = last + 1;
        }
        Ok(changed)
    }

    /// Halves a range that has a row in it that SQLite refuses, until that row is left.
    fn write_range(
        &mut self,
        connection: &RawConnection<'_>,
        statement: &mut Statement<'_>,
        first: i64,
        last: i64,
    ) -> Result<u64, DatabaseError> {
        // A statement undoes itself, but not what a trigger's RAISE(FAIL) leaves.
        connection.execute("SAVEPOINT tombolo_range", &[])?;
        let range = [
            SqliteValueRef::Integer(first),
            SqliteValueRef::Integer(last),
        ];
        let Err(error) = statement.run(range) else {
            let changed = connection.changes();
            connection.execute("RELEASE tombolo_range", &[])?;
            return Ok(changed);
        };
        let Some(reason) = fault_of_row(connection, &error) else {
            return Err(error.into());
        };
        connection.execute("ROLLBACK TO tombolo_range", &[])?;
        connection.execute("RELEASE tombolo_range", &[])?;
        if first == last {
            self.reject_staged(connection, first, &reason)?;
            return Ok(0);
        }
        let middle = first + (last - first) / 2;
        let left = self.write_range(connection, statement, first, middle)?;
        let right = self.write_range(connection, statement, middle + 1, last)?;
        Ok(left + right)
    }

    /// Looks whether the rows are in the table as the plan makes them. `filled`: all of them were new.
    fn verify(
        &mut self,
        connection: &RawConnection<'_>,
        filled: bool,
        last_rowid: Option<i64>,
        created: u64,
    ) -> Result<(), DatabaseError> {
        let differing = if self.merge.has_key() {
            match self.merge.images(filled) {
                Some((sql, width)) => other_images(connection, &sql, width)?,
                None => count(connection, &self.merge.unstored())?,
            }
        } else if let Some(last_rowid) = last_rowid {
            self.appended_differently(connection, last_rowid, created)?
        } else {
            self.ledger.unread();
            0
        };
        if differing == 0 {
            return Ok(());
        }
        if self.triggers.is_empty() {
            return Err(DatabaseError::NotStored {
                table: self.layout.table().to_owned(),
                rows: differing,
            });
        }
        self.ledger.altered();
        Ok(())
    }

    /// The greatest rowid, where the rows to come get greater ones and have nothing else to be told by.
    fn last_rowid(&self, connection: &RawConnection<'_>) -> Result<Option<i64>, DatabaseError> {
        let Some(rowid) = self.merge.rowid().filter(|_| !self.merge.has_key()) else {
            return Ok(None);
        };
        let sql = format!(
            "SELECT coalesce(max({rowid}), 0) FROM {}",
            self.merge.table()
        );
        let last = connection.integer(&sql, &[])?;
        // Behind the greatest of all, rowids are random.
        Ok((last < i64::MAX - RANGE * RANGE).then_some(last))
    }

    /// Compares the rows behind a rowid with the staged ones, in any order; at least the number of those that differ.
    fn appended_differently(
        &self,
        connection: &RawConnection<'_>,
        last_rowid: i64,
        created: u64,
    ) -> Result<u64, DatabaseError> {
        let Some(rowid) = self.merge.rowid() else {
            return Ok(0);
        };
        let (names, staged): (Vec<_>, Vec<_>) = self.merge.inserted().unzip();
        let staged = images(
            connection,
            &format!(
                "SELECT {} FROM temp.tombolo_staging AS s",
                list(&staged, "1")
            ),
            staged.len(),
            &[],
        )?;
        let there = images(
            connection,
            &format!(
                "SELECT {} FROM {} WHERE {rowid} > ?",
                list(&names, "1"),
                self.merge.table()
            ),
            names.len(),
            &[SqliteValueRef::Integer(last_rowid)],
        )?;
        Ok(match staged == there && there.0 == created {
            true => 0,
            false => staged.0.abs_diff(there.0).max(1),
        })
    }
}

/// The number of rows whose columns from the second on are not `width` values and the same again, or whose first says no.
/// SQLite could tell it as well, but typeof() of each value costs more than the value.
fn other_images(
    connection: &RawConnection<'_>,
    sql: &str,
    width: usize,
) -> Result<u64, DatabaseError> {
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query(&[])?;
    let mut others = 0;
    while let Some(row) = rows.next()? {
        let same = row.get(0) == Ok(SqliteValueRef::Integer(1))
            && (1..=width).all(|index| match (row.get(index), row.get(index + width)) {
                (Ok(SqliteValueRef::Real(one)), Ok(SqliteValueRef::Real(other))) => {
                    one.to_bits() == other.to_bits()
                }
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            });
        others += u64::from(!same);
    }
    Ok(others)
}

fn list<T: AsRef<str>>(columns: &[T], none: &str) -> String {
    let columns: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
    match columns.is_empty() {
        true => none.to_owned(),
        false => columns.join(", "),
    }
}

/// The number of rows, and the sum of the digests of their images.
fn images(
    connection: &RawConnection<'_>,
    sql: &str,
    width: usize,
    values: &[SqliteValueRef<'_>],
) -> Result<(u64, u128), DatabaseError> {
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query(values)?;
    let mut image = Vec::new();
    let (mut count, mut sum) = (0, 0u128);
    while let Some(row) = rows.next()? {
        image.clear();
        for index in 0..width {
            add_value(&mut image, row, index);
        }
        count += 1;
        sum = sum.wrapping_add(xxh3_128(&image));
    }
    Ok((count, sum))
}

fn add_value(image: &mut Vec<u8>, row: Row<'_>, index: usize) {
    let (class, length) = (image.len(), image.len() + 1);
    image.extend_from_slice(&[0; 9]);
    let tag = match row.get(index) {
        Ok(SqliteValueRef::Null) => 0,
        Ok(SqliteValueRef::Integer(value)) => {
            image.extend_from_slice(&value.to_be_bytes());
            1
        }
        Ok(SqliteValueRef::Real(value)) => {
            image.extend_from_slice(&value.to_bits().to_be_bytes());
            2
        }
        Ok(SqliteValueRef::Text(text)) => {
            image.extend_from_slice(text.as_bytes());
            3
        }
        Ok(SqliteValueRef::Blob(bytes)) => {
            image.extend_from_slice(bytes);
            4
        }
        // Nothing that was staged is like that.
        Err(_) => 5,
    };
    let size = (image.len() - length - 8) as u64;
    if let Some(place) = image.get_mut(class) {
        *place = tag;
    }
    if let Some(place) = image.get_mut(length..length + 8) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}

/// A query's only number, which is a count.
fn count(connection: &RawConnection<'_>, sql: &str) -> Result<u64, DatabaseError> {
    let count = connection.integer(sql, &[])?;
    Ok(u64::try_from(count).unwrap_or_default())
}
