//! Runs whose sender, receiver or database server is killed with `kill -9`: no row is lost or duplicated, and the target
//! never has fewer rows than before.
//!
//! 40 kills, ten for each strategy; `TOMBOLO_KILLS` sets another number (`just torture`: 400).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::killable_server::KillableServer;
use crate::support::killed_transfer::{Endpoint, Rows, check, endpoints};
use crate::support::random::Random;
use crate::support::site::{Running, Share, Site};
use crate::support::sqlite::Sqlite;

/// Kills in each transfer.
const KILLS: usize = 2;

/// Attempts after the last kill before a run counts as endless.
const ATTEMPTS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Sender,
    Receiver,
    Server,
}

/// One transfer that is killed.
struct Transfer<'a> {
    site: &'a Site,
    server: Option<&'a KillableServer>,
    source: &'a Endpoint,
    target: &'a Endpoint,
    strategy: &'a str,
}

impl Transfer<'_> {
    fn share(&self) -> Share {
        let arguments = [
            "share",
            "--json",
            "--listen",
            "127.0.0.1:0",
            self.source.location(),
        ];
        Share::start(
            self.site
                .command_with_small_chunks("share-data", &arguments),
        )
    }

    fn pull(&self, share: &Share) -> Running {
        let arguments = [
            "--into",
            self.target.location(),
            "--strategy",
            self.strategy,
        ];
        self.site
            .start_pull_with_small_chunks(&share.url, &share.code, &arguments)
    }

    /// Kills `kills` times and then lets the run end; returns what happened, for messages, and what was killed while it
    /// ran. `typical` is an estimate of the duration of a pull.
    fn run(
        &self,
        random: &mut Random,
        kills: usize,
        typical: &mut Duration,
    ) -> (String, Vec<Victim>) {
        let (mut log, mut killed) = (String::new(), Vec::new());
        let mut share = self.share();
        for attempt in 0..kills + ATTEMPTS {
            let mut pull = self.pull(&share);
            if attempt < kills {
                let victim = self.victim(random);
                let moment = typical.mul_f64(random.below(1_000) as f64 / 1_000.0);
                std::thread::sleep(moment);
                let ran = pull.is_running();
                log.push_str(&format!("{victim:?} after {moment:?}, running: {ran}\n"));
                killed.extend(ran.then_some(victim));
                // Adapts to the current speed of this machine.
                *typical = typical.mul_f64(if ran { 1.1 } else { 0.8 });
                match victim {
                    Victim::Sender => share.running.signal("KILL"),
                    Victim::Receiver if ran => pull.signal("KILL"),
                    Victim::Receiver => {}
                    Victim::Server => {
                        let server = self.server.unwrap();
                        server.kill();
                        server.restart();
                    }
                }
            }
            let outcome = pull.wait();
            log.push_str(&format!("{outcome:?}\n"));
            if outcome.status.code() == Some(0) {
                return (log, killed);
            }
            // The other side may not have ended yet.
            std::thread::sleep(Duration::from_millis(300));
            if !share.running.is_running() {
                let ended = share.running.wait();
                log.push_str(&format!("{ended:?}\n"));
                if ended.status.code() == Some(0) {
                    return (log, killed);
                }
                share = self.share();
            }
        }
        panic!("the run does not end: {log}");
    }

    fn victim(&self, random: &mut Random) -> Victim {
        let victims = [Victim::Sender, Victim::Receiver, Victim::Server];
        victims[random.below(if self.server.is_some() { 3 } else { 2 })]
    }
}

/// Counts the rows of the target during `work`, and checks that they never get fewer.
fn while_counting<T>(target: &Endpoint, work: impl FnOnce() -> T) -> T {
    let (most, shrunk, over) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        Arc::new(AtomicBool::new(false)),
    );
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Some(count) = target.count() {
                    let before = most.fetch_max(count, Ordering::Relaxed);
                    shrunk.fetch_max(before.saturating_sub(count), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        // Ends the thread also if the work panics.
        struct End(Arc<AtomicBool>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = End(Arc::clone(&over));
        work()
    });
    assert_eq!(shrunk.into_inner(), 0, "rows disappeared for a moment");
    result
}

/// All kills of one strategy.
fn check_strategy(strategy: &str, server: Option<&KillableServer>) {
    let all: usize = std::env::var("TOMBOLO_KILLS").map_or(40, |kills| kills.parse().unwrap());
    let wanted = all / 4;
    let seed = strategy.bytes().map(u64::from).sum();
    let mut random = Random::new(seed);
    let mut typical = Duration::from_secs(2);
    let (mut killed, mut number) = (Vec::new(), 0);
    while killed.len() < wanted {
        assert!(
            number < 4 * wanted,
            "the kills come too late: {killed:?} in {number} transfers"
        );
        let site = Site::new();
        let pairs = if server.is_some() { 4 } else { 1 };
        let (source, target) = endpoints(server, &site, number, number % pairs);
        source.create_source();
        // A table that the run creates is loaded in another way than an existing one.
        let exists = random.below(3) > 0;
        if exists {
            target.create_target();
        } else if let Endpoint::Sqlite(path) = &target {
            Sqlite::script(path, "PRAGMA journal_mode = WAL");
        }
        let incoming: Rows = source.items().unwrap().into_iter().collect();
        let before: Rows = if exists {
            target.items().unwrap().into_iter().collect()
        } else {
            Rows::new()
        };
        // Kills the server only if it has one of the databases.
        let server = server.filter(|_| number % pairs > 0);
        let transfer = Transfer {
            site: &site,
            server,
            source: &source,
            target: &target,
            strategy,
        };
        let kills = KILLS.min(wanted - killed.len());
        let (log, hit) = while_counting(&target, || transfer.run(&mut random, kills, &mut typical));
        killed.extend(hit);
        number += 1;
        let found = target.items().unwrap_or_else(|| panic!("no table: {log}"));
        check(
            strategy,
            &incoming,
            &before,
            &found,
            &format!("{number}, exists: {exists}: {log}"),
        );
    }
    let of = |victim| killed.iter().filter(|one| **one == victim).count();
    eprintln!(
        "{strategy}: {number} transfers; killed in the middle: {} senders, {} receivers, {} servers",
        of(Victim::Sender),
        of(Victim::Receiver),
        of(Victim::Server)
    );
}

fn check_with_server(strategy: &str) {
    if let Some(server) = KillableServer::start() {
        check_strategy(strategy, Some(&server));
    }
}

#[test]
fn killed_transfers_with_skip_and_postgres() {
    check_with_server("skip");
}

#[test]
fn killed_transfers_with_overwrite_and_postgres() {
    check_with_server("overwrite");
}

#[test]
fn killed_transfers_with_merge_and_postgres() {
    check_with_server("merge");
}

#[test]
fn killed_transfers_with_append_and_postgres() {
    check_with_server("append");
}
