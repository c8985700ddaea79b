//! Connections of peers: silent ones make room, nobody is shut out, and what a peer does not read ends.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::support::attackers::{connect_from, exchange, loopback, silent};
use crate::support::http::{claim, claim_body, connect, encode_request, token};
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;
use crate::support::{block_on, http};

/// How long an honest peer waits at most.
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn thousands_of_silent_sockets_of_one_address_shut_nobody_out() {
    const SOCKETS: usize = 5_000;
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    block_on(async {
        let sockets = silent(loopback(2), &share.url, SOCKETS).await;
        eprintln!("{} silent sockets", sockets.len());
        let tables = encode_request("GET", "/sync/v1/tables", Some(&token), b"");
        let body = claim_body(&share.code, "another secret");
        let claim = encode_request("POST", "/sync/v1/claim", None, &body);
        // Of another address, of the same one with a token, and of the same one without.
        for (source, request, expected) in [(3, &claim, 409), (2, &tables, 200), (2, &claim, 409)] {
            let began = Instant::now();
            let answer = exchange(loopback(source), &share.url, request).await;
            assert_eq!(answer.unwrap().0, expected, "from {source}");
            let waited = began.elapsed();
            assert!(waited < PATIENCE, "from {source}: {waited:?}");
        }
    });
}

#[test]
fn a_connection_with_a_valid_token_makes_room_for_nobody() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    let request = format!(
        "GET /sync/v1/tables HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let mut answer = [0; 1_000];
    let mut trusted = connect(&share.url);
    trusted.write_all(request.as_bytes()).unwrap();
    assert!(trusted.read(&mut answer).unwrap() > 0);
    let sockets = block_on(silent(loopback(1), &share.url, 2_000));
    trusted.write_all(request.as_bytes()).unwrap();
    assert!(trusted.read(&mut answer).unwrap() > 0);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    drop(sockets);
}

#[test]
fn heads_are_bounded_in_size_and_number() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let status = |head: &str| {
        let mut socket = connect(&share.url);
        socket.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).unwrap();
        String::from_utf8_lossy(&start[9..]).into_owned()
    };
    let with_headers = |number: usize| {
        let headers = "a: b\r\n".repeat(number);
        format!("GET /sync/v1/tables HTTP/1.1\r\nconnection: close\r\n{headers}\r\n")
    };
    assert_eq!(status(&with_headers(60)), "401");
    assert_eq!(status(&with_headers(100)), "431");
    let long = "x".repeat(100_000);
    assert_eq!(
        status(&format!("GET / HTTP/1.1\r\nlong: {long}\r\n\r\n")),
        "431"
    );
    let deep = "/a".repeat(1_000);
    let deep = format!("/sync/v1/tables{deep}");
    let answer = http::request(&share.url, "GET", &deep, None, b"");
    assert_eq!(answer.error(), "not-found");
    let many = format!("/sync/v1/tables?{}", "a=b&".repeat(1_000));
    let answer = http::request(&share.url, "GET", &many, None, b"");
    assert_eq!(answer.error(), "bad-request");
}

#[test]
fn many_long_heads_are_bounded_together() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    block_on(async {
        let mut closed = 0;
        let mut open = Vec::new();
        for _ in 0..400 {
            let mut socket = connect_from(loopback(2), &share.url).await.unwrap();
            let head = format!("GET / HTTP/1.1\r\nlong: {}", "x".repeat(60_000));
            // Those that are refused may be closed while this is written.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await;
            open.push(socket);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        for socket in &open {
            closed += usize::from(socket.try_read(&mut [0]).map_or_else(
                |error| error.kind() != std::io::ErrorKind::WouldBlock,
                |_| true,
            ));
        }
        assert!(closed >= 200, "{closed} of 400 were closed");
    });
    token(&claim(&share.url, &share.code, "a secret"));
}
