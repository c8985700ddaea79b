//! `tombolo share DB`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tombolo::bindings::database::{TableKind, TableSummary};
use tombolo::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use tombolo::bindings::transfers::Notice;
use tombolo::bindings::types::{Failure, Scope, TableReport};
use tombolo::failure::{failure, printable};
use tombolo::notices::{Follower, Happening};
use tombolo::owner::{self, Owner};
use tombolo::server::Server;
use tombolo::tenant::{GrantedDatabase, Patterns, Tenant};

use super::database::DatabaseArgument;
use super::event::Event;
use super::output::Output;
use super::patterns::TablePatterns;
use super::plugins::{self, PluginArgument};
use super::signals::{Signals, cancelled};
use super::{duration, report, site};

pub const EXAMPLES: &str = "\
Examples:
  tombolo share shop.db
  tombolo share shop.db --tables 'order*,customers' --expires 1h
  tombolo share postgres://ana@localhost/shop --listen 0.0.0.0:7432

Whoever has the code can read the tables until the transfer is complete or this command ends.";

const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7432);

/// How often it is looked whether the code expired.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `share`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database to share, which is never written: a SQLite file or postgres://…
    #[arg(value_name = "DB")]
    database: DatabaseArgument,
    /// Share only the tables with these names: `*` any text, `?` one character, `{a,b}` either
    #[arg(long, value_name = "GLOB,…")]
    tables: Vec<TablePatterns>,
    /// Where to listen; the next free port is taken if this one is not
    #[arg(long, value_name = "IP:PORT", default_value_t = DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// How long the code can be used for the first time: 90s, 10m, 1h30m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    expires: Duration,
    /// Let a component fill a role (engine, sessions, conflicts, ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    plugins: Vec<PluginArgument>,
}

impl Arguments {
    /// Checks what clap does not.
    pub fn check(&self) -> Result<(), String> {
        self.database.check()?;
        plugins::check(&self.plugins)
    }

    fn patterns(&self) -> Vec<String> {
        if self.tables.is_empty() {
            return vec!["*".to_owned()];
        }
        let lists = self.tables.iter().map(TablePatterns::list);
        lists.flatten().cloned().collect()
    }
}

/// Shares until the transfer is complete, the code expires, or a signal ends it.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut signals = Signals::take()?;
    let shared = signals.unless(Shared::open(arguments)).await?;
    shared.announce(arguments, output);
    let outcome = shared.follow(output, &mut signals).await;
    shared.close(outcome.is_ok()).await;
    let reports = outcome?;
    output.event(&Event::Done {
        run: None,
        tables: reports.iter().map(Into::into).collect(),
    });
    output.result(&report::summary(&reports, output.is_terminal()));
    Ok(())
}

/// A session that is open to a peer.
struct Shared {
    tenant: std::sync::Arc<Tenant>,
    owner: Owner,
    server: Server,
    session: Session,
    tables: usize,
}

impl Shared {
    async fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let database = arguments.database.open(false).await?;
        let patterns = arguments.patterns();
        let tables = matching(&database.tables().await?, &patterns)
            .map_err(|unmatched| unmatched.failure(&arguments.database.to_string()))?;
        let granted =
            GrantedDatabase::new(database, Patterns::new(&patterns)?, Patterns::new(&[])?);
        let tenant = site::open(granted, None, &arguments.plugins).await?;
        let search = arguments.listen.port() != 0;
        let server = Server::bind(tenant.clone(), arguments.listen, search)
            .await
            .map_err(|error| {
                failure(
                    "unavailable",
                    format!("cannot listen on {}: {error}", arguments.listen),
                    "choose another address with --listen",
                )
            })?;
        let owner = tenant.open_owner().await?;
        let session = tenant
            .create_session(&ShareRequest {
                direction: Direction::Send,
                database: site::DATABASE.to_owned(),
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
        output.result(&announcement(
            &arguments.database.to_string(),
            self.tables,
            &self.session.code,
            address,
            expiry(self.session.expires_at),
        ));
    }

    /// Tells what happens, until it is over.
    async fn follow(
        &self,
        output: &Output,
        signals: &mut Signals,
    ) -> Result<Vec<TableReport>, Failure> {
        let code = &self.session.code;
        let mut follower = self.tenant.notices().follow(code);
        tokio::select! {
            reports = tell(&mut follower, output) => reports,
            expired = self.expired() => Err(expired),
            () = signals.next() => Err(cancelled()),
        }
    }

    /// Waits until the code expires; for ever, if it is used in time.
    async fn expired(&self) -> Failure {
        while owner::now() <= self.session.expires_at {
            tokio::time::sleep(LOOK).await;
        }
        match self.tenant.session(&self.session.code).await {
            Ok(session) if matches!(session.state, SessionState::Claimed | SessionState::Done) => {
                std::future::pending().await
            }
            // The rules forget sessions that are over, as they like.
            Ok(_) | Err(_) => failure(
                "expired",
                format!("nobody used the code {} in time", self.session.code),
                "share again; --expires sets how long a code can be used",
            ),
        }
    }

    /// Ends what is left; the other side is told.
    async fn close(self, complete: bool) {
        if !complete && let Err(failure) = self.tenant.delete_session(&self.session.code).await {
            tracing::warn!(
                code = failure.code,
                "the session could not be deleted: {}",
                failure.message
            );
        }
        if let Err(error) = self.owner.end().await {
            tracing::warn!(%error, "the session's lease could not be ended; it runs out by itself");
        }
        self.server.stop().await;
    }
}

async fn tell(follower: &mut Follower, output: &Output) -> Result<Vec<TableReport>, Failure> {
    loop {
        let Happening::Notice(notice) = follower.next().await else {
            continue;
        };
        match notice {
            Notice::Claimed(claimer) => {
                output.event(&Event::Claimed { claimer: &claimer });
                output.note(&claimed_line(&claimer));
            }
            Notice::Sent(sent) => {
                let TableReport { table, bytes, .. } = &sent;
                let (table, rows, bytes) = (table.as_str(), sent.created, *bytes);
                output.event(&Event::Sent { table, rows, bytes });
                output.note(&sent_line(table, rows, bytes));
            }
            Notice::Finished(reports) => return Ok(reports),
            Notice::Failed(failure) => return Err(failure),
            Notice::Planned(_) | Notice::Other(_) => {}
        }
    }
}

/// Who used the code, in a line.
pub fn claimed_line(claimer: &str) -> String {
    format!("{} uses the code", printable(claimer))
}

/// A table that the other side has, in a line.
pub fn sent_line(table: &str, rows: u64, bytes: u64) -> String {
    let (rows, bytes) = (report::count(rows), report::bytes(bytes));
    format!("{}: {rows} sent, {bytes}", printable(table))
}

/// What people read: the code, until when it is good, and what to type on the other side.
pub fn announcement(
    database: &str,
    tables: usize,
    code: &str,
    address: SocketAddr,
    expires: Timestamp,
) -> String {
    let noun = if tables == 1 { "table" } else { "tables" };
    let expires = expires.to_zoned(TimeZone::system());
    let expires = expires.strftime("%Y-%m-%d %H:%M:%S %:z");
    let code = printable(code);
    let mut command = if address.ip().is_unspecified() {
        format!(
            "tombolo pull http://HOST:{} {code} --into DB",
            address.port()
        )
    } else {
        format!("tombolo pull http://{address} {code} --into DB")
    };
    let mut text = format!(
        "Sharing {tables} {noun} of {database}.\n\n  Code {code}, good for one transfer that begins before {expires}\n"
    );
    let mut notes = String::new();
    if address.ip().is_unspecified() {
        notes.push_str("\nPut this machine's name or address, as the other side knows it, in the place of HOST.");
    }
    if !address.ip().is_loopback() {
        command.push_str(" --allow-plain-http");
        notes.push_str(
            "\nNothing is encrypted on the way: on a network you do not trust, listen on 127.0.0.1 and use a tunnel.",
        );
    }
    text.push_str(&format!("\nOn the other side:\n\n  {command}\n{notes}"));
    text
}

fn expiry(milliseconds: u64) -> Timestamp {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or(Timestamp::MAX)
}

/// A pattern that no table matches.
#[derive(Debug, PartialEq, Eq)]
enum Unmatched {
    /// There are no tables at all.
    Everything,
    /// This pattern matches nothing.
    Nothing(String),
    /// This pattern matches a view only.
    View(String, String),
}

impl Unmatched {
    fn failure(self, database: &str) -> Failure {
        let hint = "`tombolo tables DB` lists what is there";
        match self {
            Self::Everything => {
                let message = format!("there are no tables to share in {database}");
                failure("no-such-table", message, hint)
            }
            Self::Nothing(pattern) => {
                let message = format!("no table in {database} matches {pattern:?}");
                failure("no-such-table", message, hint)
            }
            Self::View(pattern, view) => failure(
                "not-a-table",
                format!(
                    "{pattern:?} matches {view:?} in {database}, which is no table, and no other"
                ),
                "name the tables behind the view instead",
            ),
        }
    }
}

/// How many tables are shared; each pattern has to match one, or it is misspelt.
fn matching(listed: &[TableSummary], patterns: &[String]) -> Result<usize, Unmatched> {
    let matches = |pattern: &String, table: &TableSummary| {
        Patterns::new(std::slice::from_ref(pattern))
            .is_ok_and(|pattern| pattern.matches(&table.table))
    };
    let is_table = |one: &&TableSummary| matches!(one.kind, TableKind::Table);
    if !listed.iter().any(|one| is_table(&one)) {
        return Err(Unmatched::Everything);
    }
    for pattern in patterns {
        let mut found = listed.iter().filter(|one| matches(pattern, one)).peekable();
        let Some(&first) = found.peek() else {
            return Err(Unmatched::Nothing(pattern.clone()));
        };
        if !found.any(|one| is_table(&one)) {
            return Err(Unmatched::View(pattern.clone(), first.table.clone()));
        }
    }
    let shared = listed.iter().filter(is_table);
    Ok(shared
        .filter(|one| patterns.iter().any(|pattern| matches(pattern, one)))
        .count())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn text(address: &str) -> String {
        announcement(
            "shop.db",
            4,
            "A7X9K2M4",
            address.parse().unwrap(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn the_command_for_the_other_side_can_be_copied() {
        let text = text("127.0.0.1:7433");
        assert!(
            text.contains("\n  tombolo pull http://127.0.0.1:7433 A7X9K2M4 --into DB\n"),
            "{text}"
        );
        assert!(
            text.contains("4 tables of shop.db") && !text.contains("encrypted"),
            "{text}"
        );
    }

    #[test]
    fn other_machines_need_a_name_and_consent() {
        let everywhere = text("[::]:7432");
        assert!(
            everywhere.contains("pull http://HOST:7432 A7X9K2M4 --into DB --allow-plain-http\n"),
            "{everywhere}"
        );
        assert!(everywhere.contains("in the place of HOST"), "{everywhere}");
        let one = text("192.0.2.7:7432");
        assert!(
            one.contains("pull http://192.0.2.7:7432 A7X9K2M4 --into DB --allow-plain-http\n"),
            "{one}"
        );
        assert!(one.contains("encrypted") && !one.contains("HOST"), "{one}");
    }

    #[test]
    fn times_are_utc_for_programs() {
        assert_eq!(
            expiry(1_767_323_045_000).to_string(),
            "2026-01-02T03:04:05Z"
        );
        assert_eq!(expiry(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn every_pattern_has_to_match_a_table() {
        let one = |table: &str, kind| TableSummary {
            table: table.to_owned(),
            kind,
        };
        let listed = [
            one("order_items", TableKind::Table),
            one("orders", TableKind::Table),
            one("orders_shown", TableKind::View),
        ];
        let shared = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
            matching(&listed, &patterns)
        };
        assert_eq!(shared(&["*"]), Ok(2));
        assert_eq!(shared(&["orders", "order*"]), Ok(2));
        assert_eq!(
            shared(&["orders", "ordrs"]),
            Err(Unmatched::Nothing("ordrs".to_owned()))
        );
        let view = Unmatched::View("*shown".to_owned(), "orders_shown".to_owned());
        assert_eq!(shared(&["*shown"]), Err(view));
        assert_eq!(matching(&[], &["*".to_owned()]), Err(Unmatched::Everything));
    }
}
