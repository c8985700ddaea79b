//! All attacks of peers at once against one `share`: its memory is bounded, an honest claim is answered, and what the
//! attackers held goes.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::attackers::{connect_from, copies, descriptors, exchange, loopback, memory};
use crate::support::block_on;
use crate::support::http::{claim_body, encode_request};
use crate::support::postgres::Database;
use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, series};

/// How long all attacks go on together.
const ATTACK: Duration = Duration::from_secs(12);

/// How long an honest claim waits at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most memory of `share`, in KiB.
const MEMORY: u64 = 256 << 10;

/// How long what nobody reads is kept at most: 30 s without progress, and some to notice.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// One who attacks until it is told to stop.
#[derive(Clone)]
struct Attacker {
    url: Arc<str>,
    code: Arc<str>,
    source: IpAddr,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Attacker {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Claims the code that the attacker knows; the token of the claim before ends.
    async fn token(&self) -> Option<String> {
        let request = claim_request(&self.code, "who knows the code");
        let (status, body) = exchange(self.source, &self.url, &request).await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&body).ok()?;
        (status == 200).then(|| answer["token"].as_str().unwrap_or_default().to_owned())
    }

    /// Connects and says nothing, as often as the system allows.
    async fn keep_silent(self) {
        let mut open = Vec::new();
        while self.goes_on() {
            match connect_from(self.source, &self.url).await {
                Ok(socket) if open.len() < 3_000 => open.push(socket),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.done.store(open.len() as u64, Ordering::Relaxed);
    }

    /// Sends bodies that do not end.
    async fn send_unfinished_bodies(self) {
        let mut open = Vec::new();
        for number in 0.. {
            if !self.goes_on() || open.len() > 600 {
                break;
            }
            let length = ["content-length: 4096", "content-length: 1048576"][number % 2];
            let head = format!("POST /sync/v1/claim HTTP/1.1\r\nhost: test\r\n{length}\r\n\r\n");
            if let Ok(mut socket) = connect_from(self.source, &self.url).await {
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.try_write(&vec![b' '; 4_000]);
                open.push(socket);
            }
        }
        self.done.store(open.len() as u64, Ordering::Relaxed);
        while self.goes_on() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn guess(self) {
        while self.goes_on() {
            let request = claim_request("22222222", "a guesser");
            if exchange(self.source, &self.url, &request).await.is_ok() {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Renews the token again and again, and reads none of the streams. Returns their connections.
    async fn read_nothing(self) -> Vec<TcpStream> {
        let mut unread = Vec::new();
        while self.goes_on() {
            let Some(token) = self.token().await else {
                continue;
            };
            for stream in 0..12 {
                let path = format!("/sync/v1/tables/large/rows?run={}", stream % 6);
                let request = encode_request("GET", &path, Some(&token), b"");
                if let Ok(mut socket) = connect_from(self.source, &self.url).await {
                    let _ = socket.write_all(&request).await;
                    unread.push(socket);
                }
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        unread
    }

    /// Asks for the beginning of a table again and again.
    async fn sample(self) {
        let mut token = String::new();
        while self.goes_on() {
            let path = "/sync/v1/tables/large/rows?run=0&first=10";
            let request = encode_request("GET", path, Some(&token), b"");
            match exchange(self.source, &self.url, &request).await {
                Ok((200, _)) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                // Somebody has renewed the token.
                _ => token = self.token().await.unwrap_or_default(),
            }
        }
    }
}

fn claim_request(code: &str, secret: &str) -> Vec<u8> {
    encode_request("POST", "/sync/v1/claim", None, &claim_body(code, secret))
}

/// Runs all attacks and asks for the code meanwhile.
async fn attack(share: &Share) {
    let stop = Arc::new(AtomicBool::new(false));
    let attacker = |source: u8| Attacker {
        url: share.url.as_str().into(),
        code: share.code.as_str().into(),
        source: loopback(source),
        stop: Arc::clone(&stop),
        done: Arc::default(),
    };
    // The first claim fixes who may claim again.
    assert!(attacker(1).token().await.is_some());
    let before = descriptors(share.running.id());
    let mut attacks = JoinSet::new();
    let (silent, bodies, unread) = (attacker(2), attacker(3), attacker(4));
    attacks.spawn(silent.clone().keep_silent());
    attacks.spawn(bodies.clone().send_unfinished_bodies());
    let reading = tokio::spawn(unread.clone().read_nothing());
    let (guessers, samplers) = (attacker(5), attacker(6));
    for _ in 0..100 {
        attacks.spawn(guessers.clone().guess());
    }
    for _ in 0..4 {
        attacks.spawn(samplers.clone().sample());
    }
    let (began, mut slowest, mut claims) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < ATTACK {
        let asked = Instant::now();
        let request = claim_request(&share.code, "who knows the code");
        let answer = exchange(loopback(1), &share.url, &request).await;
        let waited = asked.elapsed();
        assert_eq!(
            answer.unwrap().0,
            200,
            "claim {claims} after {:?}",
            began.elapsed()
        );
        assert!(waited < PATIENCE, "claim {claims} took {waited:?}");
        slowest = slowest.max(waited);
        claims += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let unread_streams = reading.await.unwrap();
    while let Some(ended) = attacks.join_next().await {
        ended.unwrap();
    }
    let most = memory(share.running.id(), "VmHWM");
    let done = |attacker: &Attacker| attacker.done.load(Ordering::Relaxed);
    eprintln!(
        "{} silent sockets, {} unfinished bodies, {} unread streams by {} renewals, {} guesses, {} samples in {ATTACK:?}",
        done(&silent),
        done(&bodies),
        unread_streams.len(),
        done(&unread),
        done(&guessers),
        done(&samplers),
    );
    eprintln!(
        "{} MiB at most; {claims} claims, the slowest took {slowest:?}",
        most >> 10
    );
    assert!(most < MEMORY, "{} MiB", most >> 10);
    assert!(done(&guessers) > 0 && done(&unread) > 0 && !unread_streams.is_empty());
    // Nobody reads on, and nobody hangs up.
    let over = Instant::now();
    while descriptors(share.running.id()) > before + 8 {
        let open = descriptors(share.running.id());
        assert!(
            over.elapsed() < GIVEN_UP,
            "{open} files are open, {before} were before"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("all connections were given up after {:?}", over.elapsed());
    for mut socket in unread_streams {
        // Whatever was sent arrives, and then the end.
        let reading = async { while let Ok(1..) = socket.read(&mut [0; 1 << 16]).await {} };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }
}

fn check_output(share: Share) {
    share.running.signal("TERM");
    let outcome = share.running.wait();
    let lines = outcome.stdout.len() + outcome.stderr.lines().count();
    assert!(lines < 60, "{lines} lines: {outcome:?}");
    let told: u64 = outcome
        .events_of("wrong-codes")
        .iter()
        .filter_map(|event| event["count"].as_u64())
        .sum();
    assert!(told > 0, "{outcome:?}");
}

#[test]
fn a_share_survives_all_attacks_at_once() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "PRAGMA synchronous = OFF; CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
             {} INSERT INTO large SELECT i, hex(randomblob(1000)) FROM n;",
            series(8_000)
        ),
    );
    let all = ["share", "--json", "--listen", "127.0.0.1:0", &source];
    let share = Share::start(site.command("share-data", &all));
    block_on(async {
        attack(&share).await;
        // Ends the last token.
        let request = claim_request(&share.code, "who knows the code");
        let answer = exchange(loopback(1), &share.url, &request).await;
        assert_eq!(answer.unwrap().0, 200);
        let over = Instant::now();
        while copies(share.running.id()) > 0 {
            assert!(over.elapsed() < PATIENCE, "a copy is left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    check_output(share);
}

#[test]
fn a_share_of_postgres_survives_all_attacks_at_once() {
    let Some(database) = Database::new() else {
        return;
    };
    database.run(
        "CREATE TABLE large (id int PRIMARY KEY, text text);
         INSERT INTO large SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 16000) i;",
    );
    let site = Site::new();
    let share = site.share(&[&database.url()]);
    block_on(async {
        attack(&share).await;
        let request = claim_request(&share.code, "who knows the code");
        let answer = exchange(loopback(1), &share.url, &request).await;
        assert_eq!(answer.unwrap().0, 200);
    });
    let over = Instant::now();
    while database.open_transactions() > 0 {
        assert!(over.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    check_output(share);
}
