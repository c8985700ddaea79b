//! One session on a server, and the statements that run on it.

use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ColumnIndex, Postgres, Row};

use super::error;
use super::server::{Login, OLDEST_VERSION, Places, SEARCH_PATH};
use crate::database::{DatabaseError, quote};

/// One connection with its settings pinned.
pub(super) struct Session {
    connection: PgConnection,
    login: Arc<Login>,
    /// Free again when the connection is closed.
    _places: Places,
}

impl Session {
    /// Takes over a connection; the caller pins its settings.
    pub(super) fn new(connection: PgConnection, login: Arc<Login>, places: Places) -> Self {
        Self {
            connection,
            login,
            _places: places,
        }
    }

    /// Returns the schema in which tables are found and created. None: the login has none.
    pub(super) fn home(&self) -> Option<&str> {
        self.login.schema.as_deref()
    }

    /// Returns the schemas of the login's own path.
    pub(super) fn schemas(&self) -> &[String] {
        &self.login.schemas
    }

    /// Makes names of types and new objects mean what the login's own settings make them mean, until the transaction's
    /// end or [`Self::pin_path`]. Names of PostgreSQL itself keep their meaning.
    pub(super) async fn open_path(&mut self) -> Result<(), DatabaseError> {
        let schemas = self.login.schemas.iter();
        let schemas: Vec<String> = schemas
            .filter(|schema| *schema != "pg_catalog")
            .map(|schema| format!("{}, ", quote(schema)))
            .collect();
        // PostgreSQL's own schema comes first without being named; named, it would be where objects are created.
        self.run(format!(
            "SET LOCAL search_path = {}pg_temp",
            schemas.concat()
        ))
        .await
        .map(|_| ())
    }

    /// Pins the path again.
    pub(super) async fn pin_path(&mut self) -> Result<(), DatabaseError> {
        self.run(format!("SET LOCAL search_path = {SEARCH_PATH}"))
            .await
            .map(|_| ())
    }

    /// Returns the rows of a query that prints names and expressions as the login sees them. Every function, operator,
    /// type and table in the query must be qualified: it runs with the login's own path.
    pub(super) async fn rows_as_login(
        &mut self,
        qualified: String,
    ) -> Result<Vec<PgRow>, DatabaseError> {
        let own = self.login.search_path.replace('\'', "''");
        let sql = format!(
            "SELECT pg_catalog.set_config('search_path', '{own}', false); {qualified}; \
             SELECT pg_catalog.set_config('search_path', '{SEARCH_PATH}', false)"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await;
        let mut rows = rows.map_err(|error| error::at_work(&error))?;
        // The first and the last row are those of the settings.
        rows.pop();
        if !rows.is_empty() {
            rows.remove(0);
        }
        Ok(rows)
    }

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

/// Prepares a statement in which every name is quoted. It has no name: the server keeps each named one, and looks at all
/// of them whenever a table is created.
pub(super) fn query(sql: impl Into<String>) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(sql.into())).persistent(false)
}

/// Returns one column of a row, by its name or its position.
pub(super) fn column<'r, T, I>(row: &'r PgRow, index: I) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    I: ColumnIndex<PgRow>,
{
    row.try_get(index).map_err(|error| error::at_work(&error))
}
