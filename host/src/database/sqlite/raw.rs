//! SQLite's own prepared statements, for loops over rows.
#![allow(
    unsafe_code,
    reason = "SQLite's C interface: through sqlx each row would pass between two threads; nothing unsafe leaves this module"
)]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::ptr::{self, NonNull};

use futures::executor::block_on;
use libsqlite3_sys as ffi;
use sqlx::SqliteConnection;
use sqlx::sqlite::LockedSqliteHandle;

use super::codec::storage::SqliteValueRef;
use super::error::{interrupted, refused};
use crate::database::DatabaseError;

/// An error of SQLite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub(super) struct RawError {
    /// The extended result code.
    pub(super) code: i32,
    /// SQLite's message, which may contain names and the text of a trigger.
    pub(super) message: String,
}

impl RawError {
    /// Returns true if [`RawConnection::interrupt_when`] ended the statement.
    pub(super) fn is_interrupt(&self) -> bool {
        self.code == ffi::SQLITE_INTERRUPT
    }

    /// Returns true if two rows would have the same key.
    pub(super) fn is_about_keys(&self) -> bool {
        matches!(
            self.code,
            ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID
        )
    }

    /// Returns true if other values could have been stored: for constraints, types, lengths, and errors of functions in checks,
    /// generated columns and triggers.
    pub(super) fn is_about_values(&self) -> bool {
        matches!(
            self.code & 0xff,
            ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG | ffi::SQLITE_ERROR
        )
    }

    /// Returns true if a constraint is violated.
    pub(super) fn is_constraint(&self) -> bool {
        self.code & 0xff == ffi::SQLITE_CONSTRAINT
    }
}

/// A connection that sqlx does not use meanwhile. It cannot leave its thread.
pub(super) struct RawConnection<'c> {
    handle: NonNull<ffi::sqlite3>,
    /// While it lives, sqlx's thread neither uses nor closes the connection.
    locked: LockedSqliteHandle<'c>,
}

/// Runs work on a thread that may block. A dropped caller does not end the work, which keeps the connection until it is
/// done. Fails as the work does, or if its thread panics.
pub(super) async fn on_thread<G, T>(
    mut connection: G,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError>
where
    G: DerefMut<Target = SqliteConnection> + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(move || work(&mut connection))
        .await
        .unwrap_or_else(|_| Err(interrupted()))
}

/// Runs work as [`on_thread`] does, with SQLite's own statements.
pub(super) async fn work<G, T>(
    connection: G,
    work: impl FnOnce(&mut RawConnection<'_>) -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError>
where
    G: DerefMut<Target = SqliteConnection> + Send + 'static,
    T: Send + 'static,
{
    on_thread(connection, move |connection| {
        work(&mut RawConnection::lock_blocking(connection)?)
    })
    .await
}

/// Steps of SQLite's virtual machine between two calls of the progress handler; they take much less than a millisecond.
const STEPS: i32 = 10_000;

impl<'c> RawConnection<'c> {
    /// Waits until sqlx has finished its work. Fails if its thread is gone.
    pub(super) async fn lock(connection: &'c mut SqliteConnection) -> Result<Self, DatabaseError> {
        let locked = connection.lock_handle().await;
        let mut locked = locked.map_err(|error| refused(&error))?;
        let handle = locked.as_raw_handle();
        Ok(Self { handle, locked })
    }

    /// As [`Self::lock`], on a thread that may block.
    pub(super) fn lock_blocking(
        connection: &'c mut SqliteConnection,
    ) -> Result<Self, DatabaseError> {
        block_on(Self::lock(connection))
    }

    /// Takes from the connection what a file of a stranger could misuse: no statement can damage the file's structure, and
    /// its schema can neither load code nor call a function with side effects.
    pub(super) fn defend(&self) -> Result<(), RawError> {
        const OFF: c_int = 0;
        const ON: c_int = 1;
        for (option, value) in [
            (ffi::SQLITE_DBCONFIG_DEFENSIVE, ON),
            (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, OFF),
            (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, OFF),
            (ffi::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, OFF),
        ] {
            self.configure(option, value)?;
        }
        Ok(())
    }

    /// Runs work during which no trigger fires and no CHECK is made. Foreign keys and their actions stay.
    pub(super) fn without_triggers_and_checks<T>(
        &self,
        work: impl FnOnce() -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.execute("PRAGMA ignore_check_constraints = ON", &[])?;
        let done = self.configure(ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER, 0);
        let done = done.map_err(DatabaseError::from).and_then(|()| work());
        self.configure(ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)?;
        self.execute("PRAGMA ignore_check_constraints = OFF", &[])?;
        done
    }

    /// Sets an option that takes an int.
    fn configure(&self, option: c_int, value: c_int) -> Result<(), RawError> {
        // SAFETY: the handle is open, and only we use it while `self` lives. Each option that is passed here takes an int and
        // a pointer for the old value, which may be null.
        let code = unsafe {
            ffi::sqlite3_db_config(
                self.handle.as_ptr(),
                option,
                value,
                ptr::null_mut::<c_int>(),
            )
        };
        self.check(code)
    }

    /// Ends the running statement, with an error for which [`RawError::is_interrupt`] is true, as soon as `done` returns true.
    pub(super) fn interrupt_when(&mut self, mut done: impl FnMut() -> bool + Send + 'static) {
        self.locked.set_progress_handler(STEPS, move || !done());
    }

    /// Prepares one statement.
    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>, RawError> {
        let length = c_int::try_from(sql.len()).map_err(|_| misuse("the statement is too long"))?;
        let mut statement = ptr::null_mut();
        // SAFETY: the handle is open, and only we use it while `self` lives, `sql` has `length` bytes, and the tail is not asked for.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                self.handle.as_ptr(),
                sql.as_ptr().cast::<c_char>(),
                length,
                ffi::SQLITE_PREPARE_PERSISTENT,
                &raw mut statement,
                ptr::null_mut(),
            )
        };
        self.check(code)?;
        let statement = NonNull::new(statement).ok_or_else(|| misuse("the statement is empty"))?;
        Ok(Statement {
            statement,
            connection: self,
            stepped: false,
        })
    }

    /// Runs a statement that returns no rows. Returns the number of rows that it changed itself, without those of triggers.
    pub(super) fn execute(
        &self,
        sql: &str,
        values: &[SqliteValueRef<'_>],
    ) -> Result<u64, RawError> {
        self.prepare(sql)?.run(values.iter().copied())?;
        Ok(self.changes())
    }

    /// As [`Self::execute`], with a value for each named parameter.
    pub(super) fn execute_named(
        &self,
        sql: &str,
        values: &[(&CStr, SqliteValueRef<'_>)],
    ) -> Result<u64, RawError> {
        self.prepare(sql)?.run_named(values)?;
        Ok(self.changes())
    }

    /// Returns the first column of a query's first row, which is an integer.
    pub(super) fn integer(
        &self,
        sql: &str,
        values: &[SqliteValueRef<'_>],
    ) -> Result<i64, RawError> {
        let mut statement = self.prepare(sql)?;
        match statement.query(values)?.next()?.map(|row| row.get(0)) {
            Some(Ok(SqliteValueRef::Integer(value))) => Ok(value),
            _ => Err(misuse("the statement gives no integer")),
        }
    }

    /// Returns the first column of a query's first row, which is a count.
    pub(super) fn count(&self, sql: &str) -> Result<u64, DatabaseError> {
        let count = self.integer(sql, &[])?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Returns true if a transaction is open; SQLite itself ends it after some errors.
    pub(super) fn in_transaction(&self) -> bool {
        // SAFETY: the handle is open, and only we use it while `self` lives.
        unsafe { ffi::sqlite3_get_autocommit(self.handle.as_ptr()) == 0 }
    }

    /// Returns the number of rows that the last INSERT, UPDATE or DELETE changed itself.
    pub(super) fn changes(&self) -> u64 {
        // SAFETY: the handle is open, and only we use it while `self` lives.
        let changes = unsafe { ffi::sqlite3_changes64(self.handle.as_ptr()) };
        u64::try_from(changes).unwrap_or_default()
    }

    /// Returns why SQLite did not take a row; none if the row is not the cause, or if the whole transaction is lost with
    /// it.
    pub(super) fn fault_of_row(&self, error: &RawError) -> Option<String> {
        (error.is_about_values() && self.in_transaction())
            .then(|| DatabaseError::from(error.clone()).to_string())
    }

    /// Returns SQLite's handle, which may be used while `self` lives.
    pub(super) fn handle(&self) -> *mut ffi::sqlite3 {
        self.handle.as_ptr()
    }

    /// Returns the error that a call gave.
    pub(super) fn check(&self, code: c_int) -> Result<(), RawError> {
        match code {
            ffi::SQLITE_OK => Ok(()),
            _ => Err(self.error(code)),
        }
    }

    /// Returns the error of the call that just failed.
    fn error(&self, code: c_int) -> RawError {
        // SAFETY: the handle is open, and only we use it while `self` lives; the message is copied before the next call.
        let message = unsafe {
            let message = ffi::sqlite3_errmsg(self.handle.as_ptr());
            (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
        };
        RawError {
            code,
            message: message.unwrap_or_else(|| "SQLite gives no reason".to_owned()),
        }
    }
}

impl Drop for RawConnection<'_> {
    fn drop(&mut self) {
        self.locked.remove_progress_handler();
    }
}

/// A prepared statement.
pub(super) struct Statement<'c> {
    statement: NonNull<ffi::sqlite3_stmt>,
    connection: &'c RawConnection<'c>,
    /// Whether it was stepped since its last reset, and takes no values before another one.
    stepped: bool,
}

impl<'c> Statement<'c> {
    /// Runs the statement to its end with exactly these values for its parameters.
    pub(super) fn run<'v>(
        &mut self,
        values: impl IntoIterator<Item = SqliteValueRef<'v>>,
    ) -> Result<(), RawError> {
        let done = self.bind(values).and_then(|()| {
            while self.step()? {}
            Ok(())
        });
        self.reset();
        done
    }

    /// Runs the statement to its end with these values for its named parameters, in any order.
    fn run_named(&mut self, values: &[(&CStr, SqliteValueRef<'_>)]) -> Result<(), RawError> {
        let mut ordered = vec![None; values.len()];
        for (name, value) in values {
            // SAFETY: the statement is prepared and its connection ours; the name ends with a NUL.
            let index = unsafe {
                ffi::sqlite3_bind_parameter_index(self.statement.as_ptr(), name.as_ptr())
            };
            let place = usize::try_from(index).unwrap_or(0).checked_sub(1);
            let place = place.and_then(|place| ordered.get_mut(place));
            *place.ok_or_else(|| misuse("the statement has no parameter of this name"))? =
                Some(*value);
        }
        let ordered: Option<Vec<_>> = ordered.into_iter().collect();
        self.run(ordered.ok_or_else(|| misuse("a parameter is named twice"))?)
    }

    /// Starts the statement with exactly these values for its parameters.
    pub(super) fn query<'s>(
        &'s mut self,
        values: &'s [SqliteValueRef<'s>],
    ) -> Result<Rows<'s, 'c>, RawError> {
        if let Err(error) = self.bind(values.iter().copied()) {
            self.reset();
            return Err(error);
        }
        Ok(Rows {
            statement: self,
            values: PhantomData,
        })
    }

    /// Borrows a value for each parameter. The caller steps only while all of them live, and resets before the first is
    /// dropped. Values of an earlier call are never read, because all are replaced.
    fn bind<'v>(
        &mut self,
        values: impl IntoIterator<Item = SqliteValueRef<'v>>,
    ) -> Result<(), RawError> {
        // Only a statement whose rows were leaked.
        if self.stepped {
            self.reset();
        }
        // SAFETY: the statement is prepared and its connection ours.
        let expected = unsafe { ffi::sqlite3_bind_parameter_count(self.statement.as_ptr()) };
        let mut bound = 0;
        for value in values {
            bound += 1;
            let code = self.bind_one(bound, value);
            self.connection.check(code)?;
        }
        if bound == expected {
            Ok(())
        } else {
            Err(misuse("the statement has another number of parameters"))
        }
    }

    fn bind_one(&mut self, index: c_int, value: SqliteValueRef<'_>) -> c_int {
        let statement = self.statement.as_ptr();
        // SAFETY: the statement is prepared and its connection ours; SQLite refuses an index that is out of range. Text
        // and blobs have the length that is given, and SQLite_STATIC lets SQLite read them until other values take
        // their place, which `bind` sees to.
        unsafe {
            match value {
                SqliteValueRef::Null => ffi::sqlite3_bind_null(statement, index),
                SqliteValueRef::Integer(value) => ffi::sqlite3_bind_int64(statement, index, value),
                SqliteValueRef::Real(value) => ffi::sqlite3_bind_double(statement, index, value),
                SqliteValueRef::Text(text) => ffi::sqlite3_bind_text64(
                    statement,
                    index,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    ffi::SQLITE_STATIC(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                SqliteValueRef::Blob(bytes) => ffi::sqlite3_bind_blob64(
                    statement,
                    index,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    ffi::SQLITE_STATIC(),
                ),
            }
        }
    }

    /// Steps to the next row. Returns false if there is none.
    fn step(&mut self) -> Result<bool, RawError> {
        self.stepped = true;
        // SAFETY: the statement is prepared, its connection ours, and the bound values live (see `bind`).
        match unsafe { ffi::sqlite3_step(self.statement.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(self.connection.error(code)),
        }
    }

    /// Resets the statement and clears its values.
    fn reset(&mut self) {
        // SAFETY: the statement is prepared and its connection ours. The codes repeat what `step` gave.
        unsafe {
            ffi::sqlite3_reset(self.statement.as_ptr());
            ffi::sqlite3_clear_bindings(self.statement.as_ptr());
        }
        self.stepped = false;
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing else has the statement, and its connection is still open. The code repeats what `step` gave.
        unsafe { ffi::sqlite3_finalize(self.statement.as_ptr()) };
    }
}

/// The rows of a running statement.
pub(super) struct Rows<'s, 'c> {
    statement: &'s mut Statement<'c>,
    /// The statement's values, which SQLite reads while it steps.
    values: PhantomData<&'s [SqliteValueRef<'s>]>,
}

impl Rows<'_, '_> {
    /// Returns the next row, which replaces the one before.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, RawError> {
        let row = self.statement.step()?;
        Ok(row.then_some(Row {
            statement: self.statement,
        }))
    }
}

impl Drop for Rows<'_, '_> {
    fn drop(&mut self) {
        self.statement.reset();
    }
}

/// The kinds of values, one bit each.
pub(super) mod kinds {
    /// 0 and 1.
    pub const TRUTH: u8 = 1;
    /// Other integers.
    pub const INTEGER: u8 = 2;
    /// Finite floating-point numbers.
    pub const REAL: u8 = 4;
    /// Infinite ones.
    pub const INFINITY: u8 = 8;
    /// Texts without U+0000.
    pub const TEXT: u8 = 16;
    /// Texts with U+0000.
    pub const TEXT_WITH_NUL: u8 = 32;
    /// Blobs.
    pub const BYTES: u8 = 64;
}

/// One row, until the next step.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    statement: &'r Statement<'r>,
}

impl<'r> Row<'r> {
    /// Returns what one value is, as one of the bits of [`kinds`]; 0 for NULL and for a column that does not exist. Reads no
    /// blob.
    pub(super) fn kind(self, index: usize) -> u8 {
        let statement = self.statement.statement.as_ptr();
        let Ok(index) = c_int::try_from(index) else {
            return 0;
        };
        // SAFETY: the statement stands on a row, nobody steps while `'r` lasts, and of a column that does not exist SQLite
        // says that it is NULL. Text is asked for as UTF-8 only.
        unsafe {
            match ffi::sqlite3_column_type(statement, index) {
                ffi::SQLITE_INTEGER => match ffi::sqlite3_column_int64(statement, index) {
                    0 | 1 => kinds::TRUTH,
                    _ => kinds::INTEGER,
                },
                ffi::SQLITE_FLOAT => {
                    match ffi::sqlite3_column_double(statement, index).is_finite() {
                        true => kinds::REAL,
                        false => kinds::INFINITY,
                    }
                }
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_column_text(statement, index);
                    let text = slice(text, ffi::sqlite3_column_bytes(statement, index));
                    match text.is_some_and(|text| memchr::memchr(0, text).is_some()) {
                        true => kinds::TEXT_WITH_NUL,
                        false => kinds::TEXT,
                    }
                }
                ffi::SQLITE_BLOB => kinds::BYTES,
                _ => 0,
            }
        }
    }

    /// Returns one value in its storage class. The error says why it cannot be read.
    pub(super) fn get(self, index: usize) -> Result<SqliteValueRef<'r>, &'static str> {
        const NO_MEMORY: &str = "there is not enough memory for the value";
        let statement = self.statement.statement.as_ptr();
        let index = c_int::try_from(index).map_err(|_| "there is no such column")?;
        // SAFETY: the statement stands on a row, and nobody steps while `'r` lasts.
        if index >= unsafe { ffi::sqlite3_data_count(statement) } {
            return Err("there is no such column");
        }
        // SAFETY: as before, and the column exists.
        match unsafe { ffi::sqlite3_column_type(statement, index) } {
            ffi::SQLITE_NULL => Ok(SqliteValueRef::Null),
            ffi::SQLITE_INTEGER => {
                // SAFETY: as before.
                Ok(SqliteValueRef::Integer(unsafe {
                    ffi::sqlite3_column_int64(statement, index)
                }))
            }
            ffi::SQLITE_FLOAT => {
                // SAFETY: as before.
                Ok(SqliteValueRef::Real(unsafe {
                    ffi::sqlite3_column_double(statement, index)
                }))
            }
            ffi::SQLITE_TEXT => {
                // SAFETY: as before. What was read stays until the next step: text is asked for as UTF-8 only, so that
                // no later call converts it again.
                let bytes = unsafe {
                    let text = ffi::sqlite3_column_text(statement, index);
                    slice(text, ffi::sqlite3_column_bytes(statement, index))
                };
                let bytes = bytes.ok_or(NO_MEMORY)?;
                let text = match bytes.is_ascii() {
                    // SAFETY: ASCII is UTF-8. Most texts are ASCII, and this check is several times faster than the other.
                    true => Ok(unsafe { std::str::from_utf8_unchecked(bytes) }),
                    false => std::str::from_utf8(bytes),
                };
                text.map(SqliteValueRef::Text)
                    .map_err(|_| "the text is not valid UTF-8")
            }
            _ => {
                // SAFETY: as before. Blobs are asked for as blobs only; an empty one has no place.
                let (bytes, length) = unsafe {
                    let blob = ffi::sqlite3_column_blob(statement, index);
                    let length = ffi::sqlite3_column_bytes(statement, index);
                    (slice(blob.cast(), length), length)
                };
                let bytes = bytes.or((length == 0).then_some(&[]));
                bytes.map(SqliteValueRef::Blob).ok_or(NO_MEMORY)
            }
        }
    }
}

/// Returns the bytes that a column points to.
///
/// # Safety
///
/// `bytes` is null or has `length` bytes, which do not change while `'r` lasts.
unsafe fn slice<'r>(bytes: *const u8, length: c_int) -> Option<&'r [u8]> {
    let length = usize::try_from(length).ok()?;
    // SAFETY: as the caller promises.
    (!bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(bytes, length) })
}

fn misuse(message: &str) -> RawError {
    RawError {
        code: ffi::SQLITE_MISUSE,
        message: message.to_owned(),
    }
}
