//! Row streams that a peer does not read: what they hold goes in time, and there are few of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::attackers::{copies, memory};
use crate::support::http::{claim, connect, encode_request, token};
use crate::support::postgres::Database;
use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, series};

/// How long the site may take to notice that something is over.
const NOTICE: Duration = Duration::from_secs(10);

/// A file of some 16 MB without a write-ahead log: each snapshot of it is a copy. More than sockets take.
fn large_file(site: &Site) -> String {
    let path = site.path("source.db");
    Sqlite::script(
        &path,
        &format!(
            "PRAGMA synchronous = OFF; CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
             {} INSERT INTO large SELECT i, hex(randomblob(1000)) FROM n;",
            series(8_000)
        ),
    );
    path
}

/// Shares a file, of which each snapshot is a copy.
fn share_with_copies(site: &Site, source: &str, more: &[&str]) -> Share {
    let mut all = vec!["share", "--json", "--listen", "127.0.0.1:0", source];
    all.extend(more);
    Share::start(site.command("share-data", &all))
}

/// Requests rows, and reads no more than the beginning of the answer.
fn request_rows(share: &Share, token: &str, run: &str) -> TcpStream {
    let mut socket = connect(&share.url);
    let path = format!("/sync/v1/tables/large/rows?run={run}");
    let request = encode_request("GET", &path, Some(token), b"");
    socket.write_all(&request).unwrap();
    socket
}

/// Waits until the answer begins, and returns its status.
fn status(socket: &mut TcpStream) -> u16 {
    let mut start = [0; 12];
    socket.read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start[9..]).parse().unwrap()
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < NOTICE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("{what} after {:?}", began.elapsed());
}

#[test]
fn renewed_tokens_leave_no_copies_behind() {
    const RENEWALS: usize = 25;
    let site = Site::new();
    let share = share_with_copies(&site, &large_file(&site), &[]);
    let (mut open, mut most) = (Vec::new(), 0);
    for _ in 0..RENEWALS {
        let token = token(&claim(&share.url, &share.code, "one claimer"));
        let mut socket = request_rows(&share, &token, "run");
        assert_eq!(status(&mut socket), 200);
        open.push(socket);
        std::thread::sleep(Duration::from_millis(50));
        most = most.max(copies(share.running.id()));
    }
    eprintln!("at most {most} copies after {RENEWALS} renewals");
    assert!((1..=4).contains(&most), "{most} copies");
    // The last token ends as well.
    token(&claim(&share.url, &share.code, "one claimer"));
    wait_until("no copy is left", || copies(share.running.id()) == 0);
}

#[test]
fn a_snapshot_ends_at_its_limit_although_nobody_reads() {
    let site = Site::new();
    let share = share_with_copies(&site, &large_file(&site), &["--snapshot-limit", "2s"]);
    let token = token(&claim(&share.url, &share.code, "one claimer"));
    let open: Vec<_> = ["a", "b", "c"]
        .map(|run| request_rows(&share, &token, run))
        .into();
    wait_until("three copies exist", || copies(share.running.id()) == 3);
    wait_until("no copy is left", || copies(share.running.id()) == 0);
    drop(open);
}

#[test]
fn unread_streams_of_one_token_are_few_and_the_rest_is_refused() {
    const STREAMS: usize = 40;
    let site = Site::new();
    let share = share_with_copies(&site, &large_file(&site), &[]);
    let token = token(&claim(&share.url, &share.code, "one claimer"));
    let before = memory(share.running.id(), "VmRSS");
    let mut open: Vec<_> = (0..STREAMS)
        .map(|_| request_rows(&share, &token, "run"))
        .collect();
    let statuses: Vec<u16> = open.iter_mut().map(status).collect();
    let grown = memory(share.running.id(), "VmRSS").saturating_sub(before);
    let streams = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    eprintln!("{streams} streams, {refused} refused, {} MiB", grown >> 10);
    assert_eq!((streams, refused), (8, STREAMS - 8), "{statuses:?}");
    assert!(grown < 80 << 10, "{} MiB", grown >> 10);
    // Runs are few, too.
    drop(open);
    let mut runs: Vec<_> = (0..7)
        .map(|run| request_rows(&share, &token, &run.to_string()))
        .collect();
    let statuses: Vec<u16> = runs.iter_mut().map(status).collect();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused >= 3, "{statuses:?}");
}

#[test]
fn a_renewed_token_leaves_no_transaction_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    database.run(
        "CREATE TABLE large (id int PRIMARY KEY, text text);
         INSERT INTO large SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 20000) i;",
    );
    let site = Site::new();
    let share = site.share(&[&database.url()]);
    let mut open = Vec::new();
    for _ in 0..10 {
        let token = token(&claim(&share.url, &share.code, "one claimer"));
        let mut socket = request_rows(&share, &token, "run");
        assert_eq!(status(&mut socket), 200);
        open.push(socket);
        // Until the sockets take no more.
        std::thread::sleep(Duration::from_millis(200));
    }
    token(&claim(&share.url, &share.code, "one claimer"));
    wait_until("no transaction is left", || {
        database.open_transactions() == 0
    });
}
