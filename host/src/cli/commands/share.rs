//! `tombolo share DB`: shares tables of a database with the site that has the code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tombolo::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use tombolo::bindings::transfers::RunEvent as EngineEvent;
use tombolo::bindings::types::{Failure, Scope, TableReport};
use tombolo::database::{LoginView, Omission};
use tombolo::failure::{ErrorCode, failure};
use tombolo::host::Host;
use tombolo::printable::printable;
use tombolo::resources::{self, Followed, Follower, GrantedDatabase, Owner, Patterns, RunEvent};
use tombolo::server::Server;
use tombolo::tenant::Tenant;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::duration;
use crate::cli::args::patterns::{TablePatterns, matching};
use crate::cli::args::plugins::{self, PluginArgument};
use crate::cli::local_tenant;
use crate::cli::output::Output;
use crate::cli::output::announcement::{
    Announcement, claimed_line, expiry, grouped, sent_line, wrong_codes_line,
};
use crate::cli::output::event::Event;
use crate::cli::output::omissions;
use crate::cli::output::pace::{Pace, SentRows, SentTables};
use crate::cli::output::width::elided;
use crate::cli::output::{live, report};
use crate::cli::signals::{Signals, cancelled};

pub const EXAMPLES: &str = "\
Examples:
  tombolo share shop.db
  tombolo share shop.db --tables 'order*,customers' --expires 1h
  tombolo share postgres://ana@localhost/shop --listen 0.0.0.0:7432

Whoever has the code can read the shared tables.
The session ends after one complete transfer, or with this command.";

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7432);

/// How often the expiry of the code is checked, and what is to be shown.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The columns for a table's name in the line about what was sent.
const SHOWN_NAME: usize = 24;

/// Arguments of `share`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database, which is opened read-only: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
    /// Which tables: `*` matches any text, `?` one character, `{a,b}` either; repeatable [default: all]
    #[arg(long, value_name = "GLOB,…")]
    tables: Vec<TablePatterns>,
    /// Not these tables: patterns as for --tables; repeatable
    #[arg(long, value_name = "GLOB,…")]
    exclude: Vec<TablePatterns>,
    /// The address to listen on; if the port is in use, the next free one
    #[arg(long, value_name = "IP:PORT", default_value_t = DEFAULT_ADDRESS, value_parser = address)]
    listen: SocketAddr,
    /// How long the code can be used for the first time: 90s, 10m or 1h30m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    expires: Duration,
    /// How long a snapshot of the database is held for a receiver; after that, it reads a new one
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration::parse_snapshot_limit)]
    snapshot_limit: Duration,
    /// Of PostgreSQL tables with policies, share the rows that they let this login see; without it, such tables are
    /// refused
    #[arg(long)]
    row_security: bool,
    /// Replace a standard component (engine, sessions, conflicts or ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    plugins: Vec<PluginArgument>,
}

impl Arguments {
    /// Checks what clap cannot.
    pub fn check(&self) -> Result<(), String> {
        self.database.check()?;
        plugins::check(&self.plugins)
    }

    fn patterns(&self) -> Vec<String> {
        if self.tables.is_empty() {
            return vec!["*".to_owned()];
        }
        flattened(&self.tables)
    }
}

fn flattened(patterns: &[TablePatterns]) -> Vec<String> {
    let lists = patterns.iter().map(TablePatterns::list);
    lists.flatten().cloned().collect()
}

/// Reads an address: `IP:PORT`, an IP or a port alone, or `localhost` in the place of an IP.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut address = DEFAULT_ADDRESS;
    let ip = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => text,
        Some((ip, port)) => {
            address.set_port(port.parse().map_err(|_| invalid(text))?);
            ip
        }
        None => match text.parse() {
            Ok(port) => {
                address.set_port(port);
                return Ok(address);
            }
            Err(_) => text,
        },
    };
    if ip != "localhost" {
        let inner = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        address.set_ip(inner.unwrap_or(ip).parse().map_err(|_| invalid(text))?);
    }
    Ok(address)
}

fn invalid(text: &str) -> String {
    format!("invalid address {text:?}: use IP:PORT, such as {DEFAULT_ADDRESS}, or a port")
}

/// Shares until one transfer is complete, the code expires, or a signal arrives.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut signals = Signals::take()?;
    let shared = signals.or_signal(Shared::open(arguments)).await?;
    shared.announce(arguments, output);
    let outcome = shared.follow(output, &mut signals).await;
    tokio::select! {
        () = shared.close(outcome.is_ok()) => {}
        // A second signal: the process ends at once.
        () = signals.next() => {}
    }
    report::show(None, &outcome?, output);
    Ok(())
}

/// A session that a peer can claim.
struct Shared {
    tenant: Arc<Tenant>,
    owner: Owner,
    server: Server,
    session: Session,
    tables: usize,
    omissions: Vec<Omission>,
}

impl Shared {
    async fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let view = match arguments.row_security {
            true => LoginView::Filtered,
            false => LoginView::Whole,
        };
        let database = arguments.database.open_view(view).await?;
        let (patterns, excluded) = (arguments.patterns(), flattened(&arguments.exclude));
        let listed = database.tables().await?;
        let readable = Patterns::new(&patterns)?.except(Patterns::new(&excluded)?);
        let omissions = omissions::of(database.as_ref(), &readable).await?;
        let tables = matching(&listed, &patterns, &excluded).map_err(|unmatched| {
            let unmatched = unmatched.failure(&arguments.database.to_string());
            omissions::explain(unmatched, &omissions)
        })?;
        let granted = GrantedDatabase::new(database, readable, Patterns::new(&[])?);
        let builder = local_tenant::builder(granted, None, &arguments.plugins).await?;
        let builder = builder.snapshot_limit(arguments.snapshot_limit);
        let tenant = builder.open().await?;
        let host = Host::new(tenant.sandbox().clone())
            .with_tenant(local_tenant::TENANT, Arc::clone(&tenant));
        let search = arguments.listen.port() != 0;
        let server = Server::bind(Arc::new(host), arguments.listen, search)
            .await
            .map_err(|error| {
                failure(
                    ErrorCode::Unavailable,
                    format!("cannot listen on {}: {error}", arguments.listen),
                    "choose another address with --listen",
                )
            })?;
        let owner = tenant.open_owner().await?;
        let session = tenant
            .engine()
            .create_session(&ShareRequest {
                direction: Direction::Send,
                database: local_tenant::DATABASE.to_owned(),
                scope: Scope { tables: patterns },
                owner: owner.id().to_owned(),
                expires_in: u64::try_from(arguments.expires.as_millis()).unwrap_or(u64::MAX),
            })
            .await?;
        Ok(Self {
            tenant,
            owner,
            server,
            session,
            tables,
            omissions,
        })
    }

    fn announce(&self, arguments: &Arguments, output: &Output) {
        let address = self.server.address();
        output.event(&Event::Session {
            code: &self.session.code,
            url: &format!("http://{address}"),
            expires_at: &expiry(self.session.expires_at).to_string(),
            tables: self.tables,
        });
        let announcement = Announcement {
            database: &arguments.database.to_string(),
            tables: self.tables,
            code: &self.session.code,
            address,
            machine: &local_tenant::machine(),
            expires: expiry(self.session.expires_at),
            now: Timestamp::now(),
        };
        output.result(&announcement.text(&TimeZone::system()));
        omissions::show(&self.omissions, output);
    }

    /// Shows what happens in the session, and returns the receiver's report.
    async fn follow(
        &self,
        output: &Output,
        signals: &mut Signals,
    ) -> Result<Vec<TableReport>, Failure> {
        let code = &self.session.code;
        let mut follower = self.tenant.follow(code)?;
        let mut shown = Shown::new(output, &self.server);
        let outcome = tokio::select! {
            reports = shown.all(&mut follower) => reports,
            expired = self.expired() => Err(expired),
            () = signals.next() => Err(cancelled()),
        };
        shown.rest(outcome.is_ok());
        outcome
    }

    /// Waits until the code expires; forever if it is used in time.
    async fn expired(&self) -> Failure {
        while resources::now() <= self.session.expires_at {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        match self.tenant.engine().session(&self.session.code).await {
            Ok(session) if matches!(session.state, SessionState::Claimed | SessionState::Done) => {
                std::future::pending().await
            }
            // Rules may remove a session once it has expired.
            Ok(_) | Err(_) => failure(
                ErrorCode::Expired,
                format!(
                    "nobody used the code {} before it expired",
                    grouped(&self.session.code)
                ),
                "share again; --expires sets how long a code can be used",
            ),
        }
    }

    /// Ends the session, unless it is complete, and stops the server.
    async fn close(self, complete: bool) {
        if !complete
            && let Err(failure) = self
                .tenant
                .engine()
                .delete_session(&self.session.code)
                .await
        {
            tracing::warn!(
                code = failure.code,
                "cannot delete the session: {}",
                failure.message
            );
        }
        if let Err(error) = self.owner.end().await {
            tracing::warn!(%error, "cannot end the lease of the session, which expires by itself");
        }
        self.server.stop().await;
    }
}

/// What is shown of a session while it lasts.
struct Shown<'a> {
    output: &'a Output,
    server: &'a Server,
    sent: SentTables,
    wrong_codes: Pace,
    live: LiveTotal,
}

/// What was sent so far, in one line of a terminal.
#[derive(Default)]
struct LiveTotal {
    line: Option<ProgressBar>,
    sent: SentRows,
}

impl LiveTotal {
    fn add(&mut self, table: &str, (rows, bytes): (u64, u64)) {
        self.sent.times += 1;
        self.sent.rows = self.sent.rows.saturating_add(rows);
        self.sent.bytes = self.sent.bytes.saturating_add(bytes);
        let line = self.line.get_or_insert_with(live::add_line);
        let table = elided(&printable(table), SHOWN_NAME);
        line.set_message(format!("{}, last of {table}", sent_total(&self.sent)));
    }

    /// Removes the line. What was sent of a transfer that did not end is told: no report says it.
    fn end(&mut self, complete: bool, output: &Output) {
        if let Some(line) = self.line.take() {
            live::remove(&line);
            if !complete {
                output.note(&sent_total(&self.sent));
            }
        }
    }
}

impl<'a> Shown<'a> {
    fn new(output: &'a Output, server: &'a Server) -> Self {
        Self {
            output,
            server,
            sent: SentTables::default(),
            wrong_codes: Pace::new(Instant::now()),
            live: LiveTotal::default(),
        }
    }

    /// Shows events until the session ends.
    async fn all(&mut self, follower: &mut Follower) -> Result<Vec<TableReport>, Failure> {
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            let followed = tokio::select! {
                followed = follower.next() => followed,
                _ = checks.tick() => {
                    self.due(Instant::now());
                    continue;
                }
            };
            let event = match followed {
                Followed::Event(RunEvent::Engine(event)) => event,
                Followed::Event(_) => continue,
                Followed::Missed(events) => {
                    tracing::warn!("{events} events of the session were dropped");
                    continue;
                }
            };
            match event {
                EngineEvent::Claimed(claimer) => {
                    self.output.event(&Event::Claimed { claimer: &claimer });
                    self.output.note(&claimed_line(&claimer));
                }
                EngineEvent::Sent(sent) => {
                    let (output, rows) = (self.output, (sent.created, sent.bytes));
                    if output.shows_progress() {
                        self.live.add(&sent.table, rows);
                        continue;
                    }
                    self.sent
                        .add(&sent.table, rows, Instant::now(), |table, sent| {
                            show_sent(output, table, sent);
                        });
                }
                EngineEvent::Finished(reports) => return Ok(reports),
                EngineEvent::Failed(failure) => return Err(failure),
                EngineEvent::Planned(_) | EngineEvent::Compared(_) | EngineEvent::Other(_) => {}
            }
        }
    }

    /// Shows what may be shown now of what peers can cause again and again.
    fn due(&mut self, now: Instant) {
        let output = self.output;
        self.sent
            .show_due(now, |table, sent| show_sent(output, table, sent));
        if self.server.has_wrong_codes() && self.wrong_codes.take(now) {
            self.show_wrong_codes();
        }
    }

    /// Shows what is left at the end.
    fn rest(&mut self, complete: bool) {
        let output = self.output;
        self.live.end(complete, output);
        self.sent
            .show_all(|table, sent| show_sent(output, table, sent));
        self.show_wrong_codes();
    }

    fn show_wrong_codes(&self) {
        if let Some(wrong) = self.server.wrong_codes() {
            self.output.event(&Event::WrongCodes {
                count: wrong.count,
                addresses: wrong.addresses,
                most_from: &wrong.most_from,
                most: wrong.most,
            });
            self.output.note(&wrong_codes_line(&wrong));
        }
    }
}

fn sent_total(sent: &SentRows) -> String {
    let (rows, bytes) = (report::count(sent.rows), report::bytes(sent.bytes));
    format!("{rows} sent, {bytes}")
}

fn show_sent(output: &Output, table: &str, sent: SentRows) {
    let SentRows { times, rows, bytes } = sent;
    output.event(&Event::Sent {
        table,
        rows,
        bytes,
        times,
    });
    output.note(&sent_line(table, sent));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_address_may_be_a_port_or_localhost() {
        for (typed, expected) in [
            ("7433", "127.0.0.1:7433"),
            ("0", "127.0.0.1:0"),
            ("localhost:7433", "127.0.0.1:7433"),
            ("localhost", "127.0.0.1:7432"),
            ("0.0.0.0", "0.0.0.0:7432"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:7432"),
        ] {
            assert_eq!(address(typed).unwrap().to_string(), expected, "{typed}");
        }
        for typed in [
            "",
            "nowhere",
            "nowhere:7432",
            "127.0.0.1:",
            ":7432",
            "70000",
            "127.0.0.1:x",
        ] {
            assert!(address(typed).is_err(), "{typed}");
        }
    }
}
