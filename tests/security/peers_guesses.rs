//! Guessed codes: slowed down, told to the owner, and never in the way of the right one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::attackers::{exchange, loopback};
use crate::support::block_on;
use crate::support::http::{claim_body, encode_request};
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;

/// How long an honest claim waits at most.
const PATIENCE: Duration = Duration::from_secs(2);

fn claim_request(code: &str, secret: &str) -> Vec<u8> {
    encode_request("POST", "/sync/v1/claim", None, &claim_body(code, secret))
}

/// Guesses all the time, on so many connections; returns how many were answered as soon as it is told to stop.
async fn guess(
    source: IpAddr,
    url: Arc<str>,
    connections: usize,
    stop: Arc<AtomicBool>,
    guessed: Arc<AtomicU64>,
) {
    let guessers = (0..connections).map(|number| {
        let (url, stop, guessed) = (Arc::clone(&url), Arc::clone(&stop), Arc::clone(&guessed));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let code = format!("{:08X}", 0x2222_2222 + number);
                let request = claim_request(&code, "a guesser");
                if let Ok((404, _)) = exchange(source, &url, &request).await {
                    guessed.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    for guesser in guessers.collect::<Vec<_>>() {
        guesser.await.unwrap();
    }
}

#[test]
fn guesses_are_slow_and_told_and_the_right_code_works_meanwhile() {
    const GUESSERS: usize = 200;
    const TIME: Duration = Duration::from_secs(5);
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let guessed = Arc::new(AtomicU64::new(0));
    block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let guessing = tokio::spawn(guess(
            loopback(2),
            share.url.as_str().into(),
            GUESSERS,
            Arc::clone(&stop),
            Arc::clone(&guessed),
        ));
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(2)).await;
        // From another address, and from the guessers' own.
        for source in [3, 2, 2] {
            let asked = Instant::now();
            let request = claim_request(&share.code, "the right claimer");
            let answer = exchange(loopback(source), &share.url, &request).await;
            assert_eq!(answer.unwrap().0, 200, "from {source}");
            let waited = asked.elapsed();
            eprintln!("an honest claim from 127.0.0.{source} took {waited:?}");
            assert!(waited < PATIENCE, "from {source}: {waited:?}");
        }
        tokio::time::sleep(TIME.saturating_sub(began.elapsed())).await;
        stop.store(true, Ordering::Relaxed);
        guessing.await.unwrap();
    });
    let guessed = guessed.load(Ordering::Relaxed);
    eprintln!("{guessed} guesses by {GUESSERS} guessers in some {TIME:?}");
    // Each waits 0.75 s, but for the first ones.
    let most = (TIME.as_secs() * 4 / 3 + 5) * GUESSERS as u64;
    assert!(guessed < most, "{guessed}");
    let last = share
        .running
        .wait_until(|event| event["event"] == "wrong-codes");
    assert!(last.is_some(), "{:?}", share.running);
    share.running.signal("TERM");
    let told = share.running.wait().events_of("wrong-codes");
    let count: u64 = told
        .iter()
        .filter_map(|event| event["count"].as_u64())
        .sum();
    assert_eq!(count, guessed, "{told:?}");
    assert!(told.len() < 12, "{}", told.len());
    assert!(told.iter().all(|event| event["most_from"] == "127.0.0.2"));
}

#[test]
fn guesses_from_many_addresses_slow_each_other_down() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    block_on(async {
        let mut slowest = Duration::ZERO;
        for number in 0..50_u8 {
            let few = (0..4).map(|_| async {
                let asked = Instant::now();
                let request = claim_request("22222222", "a guesser");
                let answer = exchange(loopback(100 + number), &share.url, &request).await;
                assert_eq!(answer.unwrap().0, 404);
                asked.elapsed()
            });
            for waited in futures::future::join_all(few).await {
                slowest = slowest.max(waited);
            }
        }
        assert!(slowest > Duration::from_millis(400), "{slowest:?}");
        let asked = Instant::now();
        let request = claim_request(&share.code, "the right claimer");
        let answer = exchange(loopback(9), &share.url, &request).await;
        assert_eq!(answer.unwrap().0, 200);
        assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    });
}
