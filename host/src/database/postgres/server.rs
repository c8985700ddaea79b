//! Connects to a server: how many sessions there may be, and what is pinned in each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::address::{self, Address, CONNECT_TIMEOUT};
use super::catalog::zones::KnownZones;
use super::connection::{Session, column, query};
use super::{error, pooler};
use crate::database::{DatabaseError, LoginView};
use crate::digest::sha256;

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

/// How long a pooler may take to find a session.
const POOL_WAIT: Duration = Duration::from_secs(1);

/// How long a server that takes no more connections is given before it is asked again.
const FULL_WAIT: Duration = Duration::from_millis(100);

/// Sets everything that changes what is printed, read or stored, or how long a statement may take, whatever the
/// defaults are. Notices are for people at a prompt, and those of triggers can quote values.
const SETTINGS: &str = "\
    SET statement_timeout = 0; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; \
    SET xmlbinary = 'base64'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; \
    SET backslash_quote = 'safe_encoding'; SET array_nulls = on; SET quote_all_identifiers = off; \
    SET transform_null_equals = off; SET gin_fuzzy_search_limit = 0; \
    SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; \
    SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET client_min_messages = 'error'; SET jit = off";

/// The same for settings that not every version has, or that only a superuser may set: the latter are an error that
/// names the setting where the login's own settings change them.
const BUILT_IN: &str = "\
    SELECT pg_catalog.set_config(name, boot_val, false) FROM pg_catalog.pg_settings \
    WHERE name IN ('transaction_timeout', 'idle_session_timeout', 'restrict_nonsystem_relation_kind', \
      'session_replication_role', 'zero_damaged_pages', 'ignore_checksum_failure', 'lo_compat_privileges') \
    AND setting OPERATOR(pg_catalog.<>) boot_val";

/// Of sessions that read: they write nothing, and rows that a policy would hide are an error and never left out.
const READING: &str = "SET default_transaction_read_only = on; SET row_security = off";

/// Of sessions that read what the policies let the login see.
const READING_AS_LOGIN: &str = "SET default_transaction_read_only = on; SET row_security = on";

/// Of sessions that write, where the owner of the database or of the login allows that: a pooler's session may have read
/// before.
const WRITING: &str = "RESET default_transaction_read_only";

/// What the login found when it connected first. Every name is qualified: the path is not pinned yet.
const LOGIN: &str = "\
    SELECT pg_catalog.current_schema()::pg_catalog.text, pg_catalog.current_schemas(false)::pg_catalog.text[], \
    pg_catalog.current_setting('search_path')";

/// How many connections the server allows, and how many of them the login, the database and the server have left; -1 is
/// no limit. The connection that asks counts as left.
const CONNECTIONS: &str = "\
    SELECT current_setting('max_connections')::int4, \
      CASE WHEN r.rolsuper OR r.rolconnlimit < 0 THEN -1 ELSE greatest(r.rolconnlimit - o.of_login, 0) END::int4, \
      CASE WHEN r.rolsuper OR d.datconnlimit < 0 THEN -1 ELSE greatest(d.datconnlimit - o.of_database, 0) END::int4, \
      greatest(current_setting('max_connections')::int4 - o.of_all \
        - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int4 END, 0)::int4 \
    FROM pg_roles r, pg_database d, ( \
      SELECT count(*) FILTER (WHERE a.usesysid = l.oid) AS of_login, \
        count(*) FILTER (WHERE a.datname = current_database()) AS of_database, count(*) AS of_all \
      FROM pg_roles l LEFT JOIN pg_stat_activity a ON a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() \
      WHERE l.rolname = SESSION_USER GROUP BY l.oid) o \
    WHERE r.rolname = SESSION_USER AND d.datname = current_database()";

/// Schemas in which nobody keeps tables.
const WITHOUT_TABLES: [&str; 3] = ["pg_catalog", "information_schema", "pg_toast"];

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

/// A database on a server, and how to get in.
pub(super) struct Entrance {
    options: PgConnectOptions,
    place: Arc<str>,
    timeout: Duration,
}

impl Entrance {
    fn new(address: &Address) -> Result<Self, DatabaseError> {
        let options = address
            .options()
            .map_err(|error| DatabaseError::Unreachable {
                database: "postgres://…".to_owned(),
                reason: error.to_string(),
            })?;
        let place = format!("postgres://{}", address::place(&options)).into();
        Ok(Self {
            options,
            place,
            timeout: address.timeout,
        })
    }

    /// Returns what a session needs to connect.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Connects. Fails with [`DatabaseError::ServerFull`] if the server takes no more connections.
    pub(super) async fn connect(
        &self,
        options: &PgConnectOptions,
    ) -> Result<PgConnection, DatabaseError> {
        let connected = options.connect().await;
        let connection = connected.map_err(|error| error::at_connect(&self.place, &error))?;
        if connection
            .server_version_num()
            .is_some_and(|version| version < OLDEST_VERSION)
        {
            return Err(self.unreachable("the server is older than PostgreSQL 12"));
        }
        Ok(connection)
    }

    /// Returns the error of a database that cannot be used.
    pub(super) fn unreachable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unreachable {
            database: self.place.to_string(),
            reason: reason.to_owned(),
        }
    }

    fn late(&self, timeout: Duration) -> DatabaseError {
        self.unreachable(&format!("no answer within {} s", timeout.as_secs()))
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
    entrance: Entrance,
    /// The setting `search_path` of the address.
    path: Option<String>,
    view: LoginView,
    /// Whether a pooler hands out the sessions: it lets logins wait that it has no session for.
    pooled: bool,
    /// How many sessions may be open, as far as the server has let them in.
    open: AtomicUsize,
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
    pub(super) async fn open(url: &str, view: LoginView) -> Result<Self, DatabaseError> {
        let address = Address::parse(url).map_err(|error| DatabaseError::Unreachable {
            database: "postgres://…".to_owned(),
            reason: error.to_string(),
        })?;
        let entrance = Entrance::new(&address)?;
        let opened = async {
            let (mut connection, pooled) = pooler::connect(&entrance).await?;
            let failed = |error| error::at_work(&error);
            if let Some(path) = address.path() {
                let set = "SELECT pg_catalog.set_config('search_path', $1, false)";
                let set = query(set).bind(path.to_owned());
                set.execute(&mut connection).await.map_err(failed)?;
            }
            let found = query(LOGIN).fetch_one(&mut connection).await;
            let found = found.map_err(failed)?;
            let pin = query(format!("SET search_path = {SEARCH_PATH}"));
            pin.execute(&mut connection).await.map_err(failed)?;
            let allowed = query(CONNECTIONS).fetch_one(&mut connection).await;
            Ok::<_, DatabaseError>((connection, pooled, found, allowed.map_err(failed)?))
        };
        let (connection, pooled, found, allowed) = tokio::time::timeout(entrance.timeout, opened)
            .await
            .map_err(|_| entrance.late(entrance.timeout))??;
        let search_path: String = column(&found, 2)?;
        let schema: Option<String> = column(&found, 0)?;
        let schema = schema.filter(|schema| !WITHOUT_TABLES.contains(&schema.as_str()));
        if schema.is_none() {
            return Err(DatabaseError::NoSchema {
                database: entrance.place.to_string(),
                search_path,
            });
        }
        let limit = limit(
            column(&allowed, 0)?,
            [
                column(&allowed, 1)?,
                column(&allowed, 2)?,
                column(&allowed, 3)?,
            ],
        );
        let server = Self {
            entrance,
            path: address.path().map(str::to_owned),
            view,
            pooled,
            open: AtomicUsize::new(limit),
            login: Arc::new(Login {
                schema,
                schemas: column(&found, 1)?,
                search_path,
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
        identity(&self.entrance.options, self.path.as_deref())
    }

    /// Returns what of a table with policies is read.
    pub(super) fn view(&self) -> LoginView {
        self.view
    }

    /// Returns what errors call the database: host, port and name, never the login.
    pub(super) fn place(&self) -> &str {
        &self.entrance.place
    }

    /// Returns how many sessions may write at a time, each of them with one that reads beside it.
    pub(super) fn writers(&self) -> usize {
        (long_places(self.limit) / 2).max(1)
    }

    /// Connects. Fails with [`DatabaseError::TooManyConnections`] if no place gets free in time, and with
    /// [`DatabaseError::ServerFull`] if the server takes no more connections until then.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Session, DatabaseError> {
        let deadline = Instant::now() + CONNECTION_WAIT;
        loop {
            let places = tokio::time::timeout_at(deadline, self.places(purpose)).await;
            let places = places.map_err(|_| self.too_many())?;
            let places = places.ok_or_else(|| self.too_many())?;
            match self.set_up(purpose, places).await {
                Err(DatabaseError::ServerFull { .. }) if Instant::now() < deadline => {
                    // Its session for short queries may be the one too many.
                    drop(self.take_idle());
                    tokio::time::sleep(FULL_WAIT).await;
                }
                connected => return connected,
            }
        }
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
        match self.set_up(Purpose::Read, places).await {
            Err(DatabaseError::ServerFull { .. }) => {
                self.expect_fewer();
                Ok(None)
            }
            connected => connected.map(Some),
        }
    }

    /// Asks the server for one session less from now on, as long as enough are left for a run.
    fn expect_fewer(&self) {
        let fewer = |open: usize| (open > MIN_CONNECTIONS).then(|| open - 1);
        let changed = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        if changed.is_ok() {
            self.any.forget_permits(1);
            self.long.forget_permits(1);
        }
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
            let connection = self.entrance.connect(&self.entrance.options).await?;
            self.pin(connection, purpose, places).await
        };
        // A call of the engine does not wait longer.
        let timeout = match self.pooled {
            true => POOL_WAIT,
            false => self.entrance.timeout.min(CONNECT_TIMEOUT),
        };
        let late = || match self.pooled {
            true => DatabaseError::ServerFull {
                database: self.place().to_owned(),
                reason: "its connection pooler has no session to spare".to_owned(),
            },
            false => self.entrance.late(timeout),
        };
        tokio::time::timeout(timeout, set_up)
            .await
            .map_err(|_| late())?
    }

    async fn pin(
        &self,
        connection: PgConnection,
        purpose: Purpose,
        places: Places,
    ) -> Result<Session, DatabaseError> {
        let own = match (purpose, self.view) {
            (Purpose::Query | Purpose::Read, LoginView::Whole) => READING,
            (Purpose::Query | Purpose::Read, LoginView::Filtered) => READING_AS_LOGIN,
            (Purpose::Write, _) => WRITING,
        };
        let mut session = Session::new(connection, Arc::clone(&self.login), places);
        // The path first: what follows may name functions.
        session
            .run(format!(
                "SET search_path = {SEARCH_PATH}; {SETTINGS}; {BUILT_IN}; {own}"
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

fn identity(options: &PgConnectOptions, path: Option<&str>) -> String {
    let mut place = address::place(options).to_string();
    if let Some(path) = path {
        place.push('?');
        place.push_str(path);
    }
    hex::encode(sha256(place.as_bytes()))
}

/// Returns how many connections may be open on a server that allows so many, of which the login, the database and the
/// server have so many left: a negative number is no limit.
fn limit(allowed: i32, left: [i32; 3]) -> usize {
    let share = usize::try_from(allowed).unwrap_or_default() / SERVER_SHARE;
    let own = left
        .into_iter()
        .filter_map(|limit| usize::try_from(limit).ok());
    let least = own.min().unwrap_or(MAX_CONNECTIONS);
    share
        .clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
        .min(least)
        .max(1)
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
        let entrance = |url| Entrance::new(&Address::parse(url).unwrap()).unwrap();
        let identity = |url| identity(&entrance(url).options, Address::parse(url).unwrap().path());
        let shop = identity("postgres://ana:secret@DB.example:5432/shop");
        assert_eq!(shop, identity("postgres://ben@db.example/shop"));
        assert_ne!(shop, identity("postgres://ben@db.example/other"));
        assert_ne!(shop, identity("postgres://ben@db.example:5433/shop"));
        assert_ne!(shop, identity("postgres://ben@db.example/shop?schema=app"));
        assert_eq!(shop.len(), 64);
        let place = entrance("postgres://ana:secret@db.example/shop").place;
        assert_eq!(&*place, "postgres://db.example:5432/shop");
    }

    #[test]
    fn connections_are_at_most_eight_and_a_tenth_of_the_servers() {
        for (allowed, expected) in [(1_000, 8), (100, 8), (60, 6), (30, 3), (20, 2), (5, 2)] {
            assert_eq!(limit(allowed, [-1, -1, allowed]), expected, "{allowed}");
        }
        for (own, expected) in [
            ([3, -1, 99], 3),
            ([-1, 2, 99], 2),
            ([1, 5, 99], 1),
            ([0, -1, 99], 1),
            ([50, 40, 99], 8),
            ([-1, -1, 4], 4),
        ] {
            assert_eq!(limit(1_000, own), expected, "{own:?}");
        }
        for limit in 2..=8 {
            assert!(long_places(limit) >= 2 && long_places(limit) <= limit);
        }
    }
}
