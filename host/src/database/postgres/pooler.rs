//! Finds out whether a pooler is between Tombolo and the server, and refuses one that shares sessions.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _};

use super::connection::column;
use super::error;
use super::server::Entrance;
use crate::database::DatabaseError;

/// What the login's own limit must not end: its sessions have none later either.
const UNLIMITED: (&str, &str) = ("statement_timeout", "0");

/// A setting of no meaning: a server knows it afterwards, a pooler drops or refuses it.
const MARK: (&str, &str) = ("tombolo.direct", "yes");

/// How often sessions are compared: a pooler may hand out its sessions in turn.
const ROUNDS: usize = 3;

/// How long another session is waited for: a pooler may have just one.
const PATIENCE: Duration = Duration::from_secs(1);

const SHARED: &str = "a connection pooler in transaction or statement mode is in between (PgBouncer: pool_mode), which runs each \
    transaction in another session, and a transfer needs sessions of its own; use the address of the server itself, or \
    of a pool with pool_mode = session";

/// Connects for the first time, and returns whether a pooler is in between. Nothing is set in the session before it is
/// known to be Tombolo's own.
pub(super) async fn connect(entrance: &Entrance) -> Result<(PgConnection, bool), DatabaseError> {
    let marked = entrance.options().clone().options([MARK, UNLIMITED]);
    let connection = match entrance.connect(&marked).await {
        Ok(mut connection) => match is_marked(&mut connection).await? {
            true => return Ok((connection, false)),
            false => connection,
        },
        // A pooler that refuses settings; a server that refuses the login does so again.
        Err(DatabaseError::Unreachable { .. }) => entrance.connect(entrance.options()).await?,
        Err(error) => return Err(error),
    };
    Ok((refuse_shared(entrance, connection).await?, true))
}

async fn is_marked(connection: &mut PgConnection) -> Result<bool, DatabaseError> {
    let sql = format!("SELECT pg_catalog.current_setting('{}', true)", MARK.0);
    let set: Option<String> = column(&first_row(connection, sql).await?, 0)?;
    Ok(set.as_deref() == Some(MARK.1))
}

/// Fails if another client is given the session between two transactions.
async fn refuse_shared(
    entrance: &Entrance,
    mut connection: PgConnection,
) -> Result<PgConnection, DatabaseError> {
    let first = session(&mut connection).await?;
    for _ in 0..ROUNDS {
        let other = tokio::time::timeout(PATIENCE, other_session(entrance)).await;
        // None to spare: the session is kept for this connection, or the next statement waits for ever.
        let Ok(other) = other else { continue };
        let (mut other, number) = other?;
        let again = tokio::time::timeout(PATIENCE, session(&mut connection)).await;
        let shared = number == first || !matches!(again, Ok(Ok(again)) if again == first);
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut other).await;
        let _ = other.close().await;
        if shared {
            return Err(entrance.unreachable(SHARED));
        }
    }
    Ok(connection)
}

/// Takes another session for a transaction, and returns its number.
async fn other_session(entrance: &Entrance) -> Result<(PgConnection, i32), DatabaseError> {
    let mut other = entrance.connect(entrance.options()).await?;
    let begun = sqlx::raw_sql(AssertSqlSafe("BEGIN READ ONLY".to_owned()))
        .execute(&mut other)
        .await;
    if begun.is_err() {
        return Err(entrance.unreachable(SHARED));
    }
    let number = session(&mut other).await?;
    Ok((other, number))
}

/// Returns the number of the server's session that answers.
async fn session(connection: &mut PgConnection) -> Result<i32, DatabaseError> {
    let sql = "SELECT pg_catalog.pg_backend_pid()".to_owned();
    column(&first_row(connection, sql).await?, 0)
}

/// Returns the first row of a query in one message: the parts of a prepared one may reach different sessions.
async fn first_row(connection: &mut PgConnection, sql: String) -> Result<PgRow, DatabaseError> {
    let row = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await;
    row.map_err(|error| error::at_work(&error))
}
