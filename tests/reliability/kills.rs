//! `kill -9` of the sender, the receiver or the database server in the middle of a run, until the run is complete: no
//! row is lost, none is doubled, and at no moment are there fewer than before.
//!
//! 40 kills, ten a strategy; `TOMBOLO_KILLS` sets another number (`just torture`: 400).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::killable_server::KillableServer;
use crate::support::killed_transfer::{Place, Rows, check, places};
use crate::support::random::Random;
use crate::support::site::{Running, Share, Site};

/// Kills a transfer.
const KILLS: usize = 2;

/// Attempts after the last kill before a run counts as one that never ends.
const ATTEMPTS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Sender,
    Receiver,
    Server,
}

/// One transfer under fire.
struct Transfer<'a> {
    site: &'a Site,
    server: Option<&'a KillableServer>,
    source: &'a Place,
    target: &'a Place,
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
        let mut command = self.site.command("share-data", &arguments);
        command.env("TOMBOLO_CHUNK_ROWS", "1");
        Share::start(command)
    }

    fn pull(&self, share: &Share) -> Running {
        let arguments = [
            "pull",
            "--json",
            &share.url,
            &share.code,
            "--into",
            self.target.location(),
            "--strategy",
            self.strategy,
        ];
        let mut command = self.site.command("pull-data", &arguments);
        // A frame is a chunk.
        command.env("TOMBOLO_CHUNK_ROWS", "1");
        Running::start(command)
    }

    /// Kills so many times and then lets it end; what happened, for messages. `typical` is how long a pull takes, about.
    fn fight(
        &self,
        random: &mut Random,
        kills: usize,
        typical: &mut Duration,
    ) -> (String, Vec<Victim>) {
        let (mut story, mut struck) = (String::new(), Vec::new());
        let mut share = self.share();
        for attempt in 0..kills + ATTEMPTS {
            let mut pull = self.pull(&share);
            if attempt < kills {
                let victim = self.victim(random);
                let moment = typical.mul_f64(random.below(1_000) as f64 / 1_000.0);
                std::thread::sleep(moment);
                let ran = pull.is_running();
                story.push_str(&format!("{victim:?} after {moment:?}, running: {ran}\n"));
                struck.extend(ran.then_some(victim));
                // As long as pulls take on this machine at this time.
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
            story.push_str(&format!("{outcome:?}\n"));
            if outcome.status.code() == Some(0) {
                return (story, struck);
            }
            // Whoever was told the end may still be at it.
            std::thread::sleep(Duration::from_millis(300));
            if !share.running.is_running() {
                let over = share.running.wait();
                story.push_str(&format!("{over:?}\n"));
                if over.status.code() == Some(0) {
                    return (story, struck);
                }
                share = self.share();
            }
        }
        panic!("the run never ends: {story}");
    }

    fn victim(&self, random: &mut Random) -> Victim {
        let victims = [Victim::Sender, Victim::Receiver, Victim::Server];
        victims[random.below(if self.server.is_some() { 3 } else { 2 })]
    }
}

/// Looks at the target all the time, and notes when it has fewer rows than before.
fn watched<T>(target: &Place, work: impl FnOnce() -> T) -> T {
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
        // Ends the look-out however the work ends.
        struct End(Arc<AtomicBool>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = End(Arc::clone(&over));
        work()
    });
    assert_eq!(shrunk.into_inner(), 0, "rows were gone for a moment");
    result
}

/// All kills of one strategy.
fn campaign(strategy: &str, server: Option<&KillableServer>) {
    let all: usize = std::env::var("TOMBOLO_KILLS").map_or(40, |kills| kills.parse().unwrap());
    let wanted = all / 4;
    let seed = strategy.bytes().map(u64::from).sum();
    let mut random = Random::new(seed);
    let mut typical = Duration::from_secs(2);
    let (mut struck, mut number) = (Vec::new(), 0);
    while struck.len() < wanted {
        assert!(
            number < 4 * wanted,
            "kills come too late: {struck:?} in {number} transfers"
        );
        let site = Site::new();
        let pairs = if server.is_some() { 4 } else { 1 };
        let (source, target) = places(server, |name| site.path(name), number, number % pairs);
        source.make_source();
        // A table that the run makes goes another way than one that is there.
        let exists = random.below(3) > 0;
        if exists {
            target.make_target();
        } else if let Place::Sqlite(path) = &target {
            crate::support::sqlite::Sqlite::script(path, "PRAGMA journal_mode = WAL");
        }
        let there: Rows = source.items().unwrap().into_iter().collect();
        let before: Rows = if exists {
            target.items().unwrap().into_iter().collect()
        } else {
            Rows::new()
        };
        // Only a server that holds one of the databases can do harm.
        let server = server.filter(|_| number % pairs > 0);
        let transfer = Transfer {
            site: &site,
            server,
            source: &source,
            target: &target,
            strategy,
        };
        let kills = KILLS.min(wanted - struck.len());
        let (story, hit) = watched(&target, || transfer.fight(&mut random, kills, &mut typical));
        struck.extend(hit);
        number += 1;
        let found = target
            .items()
            .unwrap_or_else(|| panic!("no table: {story}"));
        check(
            strategy,
            &there,
            &before,
            &found,
            &format!("{number}, exists: {exists}: {story}"),
        );
    }
    let of = |victim| struck.iter().filter(|one| **one == victim).count();
    eprintln!(
        "{strategy}: {number} transfers; killed in the middle: {} senders, {} receivers, {} servers",
        of(Victim::Sender),
        of(Victim::Receiver),
        of(Victim::Server)
    );
}

fn with_server(strategy: &str) {
    if let Some(server) = KillableServer::start() {
        campaign(strategy, Some(&server));
    }
}

#[test]
fn killed_with_skip_postgres() {
    with_server("skip");
}

#[test]
fn killed_with_overwrite_postgres() {
    with_server("overwrite");
}

#[test]
fn killed_with_merge_postgres() {
    with_server("merge");
}

#[test]
fn killed_with_append_postgres() {
    with_server("append");
}
