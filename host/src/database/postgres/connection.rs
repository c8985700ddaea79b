//! Connects to a server, sets a session up, and runs statements on it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ColumnIndex, ConnectOptions, Postgres, Row};

use super::error;
use crate::database::DatabaseError;
use crate::digest::sha256;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The first version with `attgenerated`, stored generated columns and today's partitioned tables.
const OLDEST_VERSION: u32 = 120_000;

/// Sets everything that changes how values are printed or how long a statement may take, whatever the defaults are.
/// Notices are for people at a prompt, and those of triggers can quote values.
const SETTINGS: &str = "\
    SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; \
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET client_min_messages = 'error'; SET jit = off; SET application_name = 'tombolo'; \
    SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings \
    WHERE name IN ('transaction_timeout', 'idle_session_timeout')";

/// Where a database is and how to get in.
pub(super) struct Server {
    options: PgConnectOptions,
    place: Arc<str>,
}

impl Server {
    pub(super) fn parse(url: &str) -> Result<Self, DatabaseError> {
        let options =
            PgConnectOptions::from_str(url).map_err(|error| DatabaseError::Unreachable {
                database: "postgres://…".to_owned(),
                reason: format!("its address cannot be read: {error}"),
            })?;
        // Without a cache no statement outlives the staging it was prepared for.
        let options = options
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let place = format!("postgres://{}", address(&options)).into();
        Ok(Self { options, place })
    }

    /// Returns a digest of where the database is; the login is no part of it.
    pub(super) fn identity(&self) -> String {
        hex::encode(sha256(address(&self.options).as_bytes()))
    }

    pub(super) async fn connect(&self) -> Result<Session, DatabaseError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.set_up())
            .await
            .map_err(|_| self.unreachable("no answer within 5 s"))?
    }

    async fn set_up(&self) -> Result<Session, DatabaseError> {
        let connected = self.options.connect().await;
        let connection = connected.map_err(|error| error::at_connect(&self.place, &error))?;
        if connection
            .server_version_num()
            .is_some_and(|version| version < OLDEST_VERSION)
        {
            return Err(self.unreachable("the server is older than PostgreSQL 12"));
        }
        let mut session = Session { connection };
        session.run(SETTINGS).await?;
        Ok(session)
    }

    fn unreachable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unreachable {
            database: self.place.to_string(),
            reason: reason.to_owned(),
        }
    }

    /// Returns what errors call the database: host, port and name, never the login.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}

fn address(options: &PgConnectOptions) -> String {
    let name = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}:{}/{name}", socket.display(), options.get_port()),
        None => format!(
            "{}:{}/{name}",
            options.get_host().to_lowercase(),
            options.get_port()
        ),
    }
}

/// One connection with its settings pinned.
pub(super) struct Session {
    connection: PgConnection,
}

impl Session {
    /// Runs statements without parameters. Returns the number of rows they changed.
    pub(super) async fn run(&mut self, sql: impl Into<String>) -> Result<u64, DatabaseError> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.into()))
            .execute(&mut self.connection)
            .await;
        done.map(|done| done.rows_affected())
            .map_err(|error| error::at_work(&error))
    }

    /// Runs one statement with parameters. Returns the number of rows it changed.
    pub(super) async fn execute(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, DatabaseError> {
        let done = query.execute(&mut self.connection).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| error::at_work(&error))
    }

    pub(super) async fn rows(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, DatabaseError> {
        query
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| error::at_work(&error))
    }

    pub(super) async fn row(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, DatabaseError> {
        query
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| error::at_work(&error))
    }

    /// Sends a whole COPY stream into a table.
    pub(super) async fn copy_in(
        &mut self,
        statement: &str,
        stream: &[u8],
    ) -> Result<(), DatabaseError> {
        let broken = |error| error::at_work(&error);
        let copy = self.connection.copy_in_raw(statement);
        let mut copy = copy.await.map_err(broken)?;
        copy.send(stream).await.map_err(broken)?;
        copy.finish().await.map_err(broken)?;
        Ok(())
    }

    /// Commits the transaction that `result` came from, or rolls it back and returns the error.
    pub(super) async fn end_transaction<T>(
        &mut self,
        result: Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        match result {
            Ok(value) => self.run("COMMIT").await.map(|_| value),
            Err(error) => {
                // What went wrong first is what counts.
                let _ = self.run("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Returns the server's version as `server_version_num`: 140000 for 14.0.
    pub(super) fn version(&self) -> u32 {
        self.connection
            .server_version_num()
            .unwrap_or(OLDEST_VERSION)
    }

    pub(super) fn raw(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Prepares a statement in which every name is quoted.
pub(super) fn query(sql: impl Into<String>) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(sql.into()))
}

/// Returns one column of a row, by its name or its position.
pub(super) fn column<'r, T, I>(row: &'r PgRow, index: I) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    I: ColumnIndex<PgRow>,
{
    row.try_get(index).map_err(|error| error::at_work(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn identity_is_the_place_and_nothing_else() {
        let identity = |url| Server::parse(url).unwrap().identity();
        let shop = identity("postgres://ana:secret@DB.example:5432/shop");
        assert_eq!(shop, identity("postgres://ben@db.example/shop"));
        assert_ne!(shop, identity("postgres://ben@db.example/other"));
        assert_ne!(shop, identity("postgres://ben@db.example:5433/shop"));
        assert_eq!(shop.len(), 64);
        let place = Server::parse("postgres://ana:secret@db.example/shop").unwrap();
        assert_eq!(place.place(), "postgres://db.example:5432/shop");
    }
}
