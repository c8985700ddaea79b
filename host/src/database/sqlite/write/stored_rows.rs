//! Whether rows that were written are stored as they should be.

use xxhash_rust::xxh3::xxh3_128;

use super::merge_sql::Merge;
use crate::database::DatabaseError;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::raw::{RawConnection, Row};

/// Counts the staged rows that are not in the table as the plan makes them, found there by their key. `filled` is true if
/// all of them were new.
pub fn differing_by_key(
    connection: &RawConnection<'_>,
    merge: &Merge,
    filled: bool,
) -> Result<u64, DatabaseError> {
    match merge.images(filled) {
        Some((sql, width)) => other_images(connection, &sql, width),
        None => connection.count(&merge.unstored()),
    }
}

/// The greatest rowid before rows without a key were written, which get greater ones.
pub struct LastRowid {
    rowid: &'static str,
    last: i64,
}

impl LastRowid {
    /// Finds it; none if rows have a key, if they bring their rowids, or if fewer than `room` rowids are left, because
    /// SQLite picks rowids at random after the greatest possible one.
    pub fn find(
        connection: &RawConnection<'_>,
        merge: &Merge,
        room: i64,
    ) -> Result<Option<Self>, DatabaseError> {
        let Some(rowid) = merge.rowid().filter(|_| !merge.has_key()) else {
            return Ok(None);
        };
        let sql = format!("SELECT coalesce(max({rowid}), 0) FROM {}", merge.table());
        let last = connection.integer(&sql, &[])?;
        Ok((last < i64::MAX - room).then_some(Self { rowid, last }))
    }

    /// Compares the rows after it with the staged ones, in any order. Returns 0 if they are the same and `created` rows,
    /// else at least the number of those that differ.
    pub fn differing(
        &self,
        connection: &RawConnection<'_>,
        merge: &Merge,
        created: u64,
    ) -> Result<u64, DatabaseError> {
        let (names, staged): (Vec<_>, Vec<_>) = merge.inserted().unzip();
        let sent = images(
            connection,
            &format!(
                "SELECT {} FROM temp.tombolo_staging AS s",
                list(&staged, "1")
            ),
            staged.len(),
            &[],
        )?;
        let found = images(
            connection,
            &format!(
                "SELECT {} FROM {} WHERE {} > ?",
                list(&names, "1"),
                merge.table(),
                self.rowid
            ),
            names.len(),
            &[SqliteValueRef::Integer(self.last)],
        )?;
        Ok(match sent == found && found.0 == created {
            true => 0,
            false => sent.0.abs_diff(found.0).max(1),
        })
    }
}

/// Counts the rows of a query whose first column is not 1, or whose next `width` columns differ from the `width` after
/// them. SQLite could compare them too, but typeof() of a value costs more than the value.
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

/// Returns the number of rows, and the sum of the digests of their images.
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
        // No staged value is unreadable.
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
