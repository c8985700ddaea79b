//! The connection of a target, and how calls work with it.

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use super::raw::{self, RawConnection};
use crate::database::{CheckedStatement, DatabaseError};

/// A connection that writes.
///
/// Each call runs to its end on a thread that may block, even if its caller drops it; the next call waits for it.
pub(super) struct TargetConnection(Arc<Mutex<SqliteConnection>>);

impl TargetConnection {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }

    /// Works with the connection, inside of the transaction that is open, if there is one.
    pub(super) async fn continue_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.0).lock_owned().await;
        raw::on_thread(connection, work).await
    }

    /// Works with the connection after it rolled back what a writer left under way.
    pub(super) async fn begin_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.continue_with(|connection| {
            let locked = RawConnection::lock_blocking(connection)?;
            // SQLite itself ends a transaction after some errors.
            if locked.in_transaction() {
                locked.execute("ROLLBACK", &[])?;
            }
            drop(locked);
            work(connection)
        })
        .await
    }
}

/// Runs work in a transaction that writes, on a thread that may block. An error rolls it back.
pub(super) fn transaction<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    RawConnection::lock_blocking(connection)?.execute("BEGIN IMMEDIATE", &[])?;
    let done = work(connection);
    let locked = RawConnection::lock_blocking(connection)?;
    let done = done.and_then(|value| {
        locked.execute("COMMIT", &[])?;
        Ok(value)
    });
    if done.is_err() && locked.in_transaction() {
        // The first error says more than this one would.
        let _ = locked.execute("ROLLBACK", &[]);
    }
    done
}

/// Runs statements, on a thread that may block.
pub(super) fn run_all(
    connection: &mut SqliteConnection,
    statements: &[CheckedStatement],
) -> Result<(), DatabaseError> {
    let locked = RawConnection::lock_blocking(connection)?;
    for statement in statements {
        // Prepared: no text can hold a second statement that runs.
        locked.execute(statement.sql(), &[])?;
    }
    Ok(())
}
