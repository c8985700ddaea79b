//! What a peer can do with its answers to a `pull`: endless or slow ones, redirects, large ones.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::sample_tables::create_one_row;
use crate::support::site::{Running, Site};

/// The longest time that a `pull` may be busy with one answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Starts a peer that treats each connection, after its request came, as `answer` does; returns its URL.
fn peer(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Runs until the process ends.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0; 4_096]);
            answer(socket);
        }
    });
    url
}

/// Pulls from a peer that is no site, and returns the code of the error.
fn pull_from(url: &str) -> String {
    let site = Site::new();
    let target = site.path("target.db");
    let began = Instant::now();
    let failure = site
        .pull_from(url, "A7X9K2M4", &["--into", &target])
        .failure();
    assert!(
        began.elapsed() < LIMIT,
        "{:?}: {failure:?}",
        began.elapsed()
    );
    assert!(!std::fs::exists(&target).unwrap(), "{failure:?}");
    failure.code
}

#[test]
fn endless_answers_are_cut_off() {
    let header = format!("x: {}\r\n", "a".repeat(8_000));
    let url = peer(move |mut socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n");
        while socket.write_all(header.as_bytes()).is_ok() {}
    });
    assert_eq!(pull_from(&url), "unreachable");

    let url = peer(|mut socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while socket.write_all(&[b' '; 65_536]).is_ok() {}
    });
    assert_eq!(pull_from(&url), "limit");

    // Answers that announce another one.
    let interim = "HTTP/1.1 102 Wait\r\n\r\n".repeat(100);
    let url = peer(move |mut socket| while socket.write_all(interim.as_bytes()).is_ok() {});
    assert_eq!(pull_from(&url), "limit");
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    let url = peer(|socket| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(60));
            drop(socket);
        });
    });
    assert_eq!(pull_from(&url), "timeout");
}

#[test]
fn a_redirect_is_not_followed_and_no_proxy_is_used() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = other.local_addr().unwrap();
    let url = peer(move |mut socket| {
        let head = format!(
            "HTTP/1.1 308 Elsewhere\r\nlocation: http://{to}/sync/v1/claim\r\ncontent-length: 0\r\n\r\n"
        );
        let _ = socket.write_all(head.as_bytes());
    });
    pull_from(&url);

    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let target = site.path("target.db");
    let arguments = ["pull", "--json", &share.url, &share.code, "--into", &target];
    let mut pull = site.command("pull-data", &arguments);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        pull.env(name, format!("http://{to}"));
    }
    Running::start(pull).wait().done();

    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err(), "nobody connects there");
}
