//! Bodies of requests: strangers' are small, refused before they are read, and bounded all together.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::support::attackers::memory;
use crate::support::http::{self, claim, claim_body, connect, token};
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;

/// The head of a request that announces a body.
fn head(path: &str, length: &str, more: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\n{length}\r\n{more}\r\n").into_bytes()
}

#[test]
fn a_large_body_of_a_stranger_is_refused_before_it_arrives() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    let wrong = "authorization: Bearer 0000\r\n".to_owned();
    let right = format!("authorization: Bearer {token}\r\n");
    // A claim is small also with a valid token.
    for (path, length, bearer) in [
        ("/sync/v1/claim", 4_097, ""),
        ("/sync/v1/claim", 1 << 20, ""),
        ("/sync/v1/claim", 1 << 20, right.as_str()),
        ("/sync/v1/done?run=a", 1 << 20, ""),
        ("/sync/v1/done?run=a", 1 << 20, wrong.as_str()),
        ("/sync/v1/done?run=a", (1 << 20) + 1, right.as_str()),
    ] {
        let began = Instant::now();
        let mut socket = connect(&share.url);
        let length_line = format!("content-length: {length}");
        socket.write_all(&head(path, &length_line, bearer)).unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 413", "{path} {length}");
        assert!(began.elapsed() < Duration::from_secs(4), "{path} {length}");
    }
    // One that is as large as allowed is read.
    let mut body = claim_body(&share.code, "another secret");
    body.resize(4 << 10, b' ');
    let answer = http::request(&share.url, "POST", "/sync/v1/claim", None, &body);
    assert_eq!(answer.error(), "already-used");
}

#[test]
fn a_body_in_chunks_ends_at_its_limit() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let mut socket = connect(&share.url);
    let chunked = head("/sync/v1/claim", "transfer-encoding: chunked", "");
    socket.write_all(&chunked).unwrap();
    // One byte each.
    socket.write_all(&b"1\r\nx\r\n".repeat(5_000)).unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[test]
fn hundreds_of_unfinished_bodies_take_little_memory() {
    const BODIES: usize = 600;
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    token(&claim(&share.url, &share.code, "a secret"));
    let before = memory(share.running.id(), "VmHWM");
    let mut open = Vec::new();
    for number in 0..BODIES {
        let mut socket = connect(&share.url);
        // Half of them hide how large they are.
        let (length, piece) = match number % 2 {
            0 => ("content-length: 1048576", vec![b' '; (1 << 20) - 1]),
            _ => {
                let rest = vec![b' '; (1 << 20) - 10];
                (
                    "transfer-encoding: chunked",
                    [&b"fffff\r\n"[..], &rest].concat(),
                )
            }
        };
        socket
            .write_all(&head("/sync/v1/claim", length, ""))
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        // Until the site takes no more.
        while let Ok(more @ 1..) = socket.write(&piece[sent..]) {
            sent += more;
        }
        open.push(socket);
    }
    std::thread::sleep(Duration::from_millis(500));
    let grown = memory(share.running.id(), "VmHWM") - before;
    eprintln!("{BODIES} unfinished bodies: {} MiB", grown >> 10);
    assert!(grown < 100 << 10, "{} MiB", grown >> 10);
    let began = Instant::now();
    let honest = claim(&share.url, &share.code, "a secret");
    assert_eq!(honest.status, 200, "{honest:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}
