//! Connects to a server: how many sessions there may be, and what is pinned in each.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::catalog::zones::KnownZones;
use super::connection::{Session, column, query};
use super::error;
use crate::database::DatabaseError;
use crate::digest::sha256;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The first version with `attgenerated`, stored generated columns and today's partitioned tables.
pub(super) const OLDEST_VERSION: u32 = 120_000;

/// The most connections that are open at a time.
const MAX_CONNECTIONS: usize = 8;

/// At most one in so many of the connections that the server allows.
const SERVER_SHARE: usize = 10;

/// A run holds one that writes and one that reads.
const MIN_CONNECTIONS: usize = 2;

/// How long a free connection is waited for; less than a call of the engine may take.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);

/// Names in statements mean what PostgreSQL itself defines, whatever other logins create. Without its place in the
/// list, the schema of temporary tables would come first.
pub(super) const SEARCH_PATH: &str = "pg_catalog, pg_temp";

/// Sets everything that changes how values are printed or how long a statement may take, whatever the defaults are.
/// Notices are for people at a prompt, and those of triggers can quote values.
const SETTINGS: &str = "\
    SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; \
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET client_min_messages = 'error'; SET jit = off; SET application_name = 'tombolo'; \
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
    WHERE name IN ('transaction_timeout', 'idle_session_timeout')";

/// Of sessions that read: they write nothing, and rows that a policy would hide are an error and never left out.
const READING: &str = "SET default_transaction_read_only = on; SET row_security = off";

/// What the login found when it connected first. Every name is qualified: the path is not pinned yet.
const LOGIN: &str = "\
    SELECT pg_catalog.current_schema()::pg_catalog.text, pg_catalog.current_schemas(false)::pg_catalog.text[], \
    pg_catalog.current_setting('search_path'), pg_catalog.current_setting('max_connections')::pg_catalog.int4";

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A short query that writes nothing.
    Query,
    /// Reading for as long as a receiver takes.
    Read,
    /// Writing.
    Write,
}

/// What a login finds without a pinned path.
#[derive(Debug)]
pub(super) struct Login {
    /// Its current schema, if it has one: tables are found and created there.
    pub schema: Option<String>,
    /// The schemas in which it finds types by name, in order, without PostgreSQL's own.
    pub schemas: Vec<String>,
    /// Its own setting.
    pub search_path: String,
}

/// The address of a database and how to get in.
struct Address {
    options: PgConnectOptions,
    place: Arc<str>,
}

impl Address {
    fn parse(url: &str) -> Result<Self, DatabaseError> {
        let options =
            PgConnectOptions::from_str(url).map_err(|error| DatabaseError::Unreachable {
                database: "postgres://…".to_owned(),
                reason: format!("its address cannot be read: {error}"),
            })?;
        // Without a cache no statement outlives the staging it was prepared for.
        let options = options
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let place = format!("postgres://{}", printed(&options)).into();
        Ok(Self { options, place })
    }

    async fn connect(&self) -> Result<PgConnection, DatabaseError> {
        let connected = self.options.connect().await;
        let connection = connected.map_err(|error| error::at_connect(&self.place, &error))?;
        if connection
            .server_version_num()
            .is_some_and(|version| version < OLDEST_VERSION)
        {
            return Err(self.unreachable("the server is older than PostgreSQL 12"));
        }
        Ok(connection)
    }

    fn unreachable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unreachable {
            database: self.place.to_string(),
            reason: reason.to_owned(),
        }
    }
}

fn printed(options: &PgConnectOptions) -> String {
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

/// The places of one session among those that may be open.
#[derive(Debug)]
pub(super) struct Places {
    _any: OwnedSemaphorePermit,
    _long: Option<OwnedSemaphorePermit>,
}

/// A database on a server, and all sessions on it.
pub(super) struct Server {
    address: Address,
    login: Arc<Login>,
    limit: usize,
    /// Places of all sessions.
    any: Arc<Semaphore>,
    /// Places of those that read or write; one is left for short queries, where there are more than two.
    long: Arc<Semaphore>,
    /// A session for short queries. Taken out while it is used: one that an error or a cancelled call left in an
    /// unknown state never comes back.
    idle: Mutex<Option<Session>>,
    zones: KnownZones,
}

impl Server {
    /// Returns the time zones that the server was asked for.
    pub(super) fn zones(&self) -> &KnownZones {
        &self.zones
    }

    /// Connects to the database that a URL names.
    pub(super) async fn open(url: &str) -> Result<Self, DatabaseError> {
        let address = Address::parse(url)?;
        let opened = async {
            let mut connection = address.connect().await?;
            let found = query(LOGIN).fetch_one(&mut connection).await;
            Ok::<_, DatabaseError>((connection, found.map_err(|error| error::at_work(&error))?))
        };
        let (connection, found) = tokio::time::timeout(CONNECT_TIMEOUT, opened)
            .await
            .map_err(|_| address.unreachable("no answer within 5 s"))??;
        let limit = limit(column(&found, 3)?);
        let server = Self {
            address,
            login: Arc::new(Login {
                schema: column(&found, 0)?,
                schemas: column(&found, 1)?,
                search_path: column(&found, 2)?,
            }),
            limit,
            any: Arc::new(Semaphore::new(limit)),
            long: Arc::new(Semaphore::new(long_places(limit))),
            idle: Mutex::default(),
            zones: KnownZones::default(),
        };
        if let Some(places) = server.places(Purpose::Query).await {
            let session = server.pin(connection, Purpose::Query, places).await?;
            server.keep_session(session);
        }
        Ok(server)
    }

    /// Returns a digest of where the database is; the login is no part of it.
    pub(super) fn identity(&self) -> String {
        identity(&self.address)
    }

    /// Returns what errors call the database: host, port and name, never the login.
    pub(super) fn place(&self) -> &str {
        &self.address.place
    }

    /// Returns how many sessions may write at a time, each of them with one that reads beside it.
    pub(super) fn writers(&self) -> usize {
        (long_places(self.limit) / 2).max(1)
    }

    /// Connects. Fails with [`DatabaseError::TooManyConnections`] if no place gets free in time.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Session, DatabaseError> {
        let waiting = tokio::time::timeout(CONNECTION_WAIT, self.places(purpose));
        let places = waiting
            .await
            .map_err(|_| self.too_many())?
            .ok_or_else(|| self.too_many())?;
        self.set_up(purpose, places).await
    }

    /// Connects to read, if nobody else needs the place. None: there is none to spare.
    pub(super) async fn connect_if_free(&self) -> Result<Option<Session>, DatabaseError> {
        // A second free place is left for another reader.
        let both = Arc::clone(&self.long).try_acquire_many_owned(2);
        let Some(long) = both.ok().and_then(|mut both| both.split(1)) else {
            return Ok(None);
        };
        let Ok(any) = Arc::clone(&self.any).try_acquire_owned() else {
            return Ok(None);
        };
        let places = Places {
            _any: any,
            _long: Some(long),
        };
        self.set_up(Purpose::Read, places).await.map(Some)
    }

    /// Returns a session for short queries, the one of the last query if it is still good.
    pub(super) async fn take_session(&self) -> Result<Session, DatabaseError> {
        // A server may have closed an idle connection; one round trip tells.
        let idle = self.take_idle();
        if let Some(mut session) = idle
            && session.run("SELECT 1").await.is_ok()
        {
            return Ok(session);
        }
        self.connect(Purpose::Query).await
    }

    /// Keeps a session for the next short query.
    pub(super) fn keep_session(&self, session: Session) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.take()
    }

    async fn places(&self, purpose: Purpose) -> Option<Places> {
        let long = match purpose {
            Purpose::Query => None,
            Purpose::Read | Purpose::Write => Some(acquire(&self.long).await?),
        };
        let any = match Arc::clone(&self.any).try_acquire_owned() {
            Ok(free) => free,
            Err(_) => {
                drop(self.take_idle());
                acquire(&self.any).await?
            }
        };
        Some(Places {
            _any: any,
            _long: long,
        })
    }

    async fn set_up(&self, purpose: Purpose, places: Places) -> Result<Session, DatabaseError> {
        let set_up = async {
            let connection = self.address.connect().await?;
            self.pin(connection, purpose, places).await
        };
        tokio::time::timeout(CONNECT_TIMEOUT, set_up)
            .await
            .map_err(|_| self.address.unreachable("no answer within 5 s"))?
    }

    async fn pin(
        &self,
        connection: PgConnection,
        purpose: Purpose,
        places: Places,
    ) -> Result<Session, DatabaseError> {
        let reading = match purpose {
            Purpose::Query | Purpose::Read => READING,
            Purpose::Write => "",
        };
        let mut session = Session::new(connection, Arc::clone(&self.login), places);
        // The path first: what follows may name functions.
        session
            .run(format!(
                "SET search_path = {SEARCH_PATH}; {SETTINGS}; {reading}"
            ))
            .await?;
        Ok(session)
    }

    fn too_many(&self) -> DatabaseError {
        DatabaseError::TooManyConnections {
            database: self.place().to_owned(),
            limit: self.limit,
        }
    }
}

async fn acquire(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

fn identity(address: &Address) -> String {
    hex::encode(sha256(printed(&address.options).as_bytes()))
}

/// Returns how many connections may be open on a server that allows so many.
fn limit(allowed: i32) -> usize {
    let share = usize::try_from(allowed).unwrap_or_default() / SERVER_SHARE;
    share.clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

fn long_places(limit: usize) -> usize {
    match limit {
        ..=MIN_CONNECTIONS => limit,
        more => more - 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn identity_is_the_place_and_nothing_else() {
        let identity = |url| identity(&Address::parse(url).unwrap());
        let shop = identity("postgres://ana:secret@DB.example:5432/shop");
        assert_eq!(shop, identity("postgres://ben@db.example/shop"));
        assert_ne!(shop, identity("postgres://ben@db.example/other"));
        assert_ne!(shop, identity("postgres://ben@db.example:5433/shop"));
        assert_eq!(shop.len(), 64);
        let place = Address::parse("postgres://ana:secret@db.example/shop").unwrap();
        assert_eq!(&*place.place, "postgres://db.example:5432/shop");
    }

    #[test]
    fn connections_are_at_most_eight_and_a_tenth_of_the_servers() {
        for (allowed, expected) in [(1_000, 8), (100, 8), (60, 6), (30, 3), (20, 2), (5, 2)] {
            assert_eq!(limit(allowed), expected, "{allowed}");
        }
        for limit in 2..=8 {
            assert!(long_places(limit) >= 2 && long_places(limit) <= limit);
        }
    }
}
