//! Names and messages from elsewhere with orders for a terminal, marks of direction and invisible characters: no output
//! has them, and programs still read them.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::support::http::{claim_body, request};
use crate::support::outcome::Outcome;
use crate::support::site::Site;
use crate::support::skip;
use crate::support::sqlite::{Sqlite, literal, quote};

/// A title, a link, a one-byte order, an override of direction, a tag, and what is not seen or ends the line.
const ORDERS: &str = "a\u{1b}]0;evil\u{7}\u{1b}]8;;http://evil\u{1b}\\b\u{9b}2J\u{7f}\u{202e}c\u{2066}\u{200b}\u{feff}\u{ad}\u{e0041}\u{2028}d\re\nf";

/// Whether a character is none that a person reads. Written without code of the product.
fn is_order(character: char) -> bool {
    character.is_control() || !ORDERS_READ.contains(character) && ORDERS.contains(character)
}

/// The characters of [`ORDERS`] that people read.
const ORDERS_READ: &str = "abcdefghijklmnopqrstuvwxyz028J];:/\\[";

/// Checks that no line of the output has an order; tabs separate columns.
fn check(outcome: &Outcome) {
    for text in outcome.stdout.iter().chain([&outcome.stderr]) {
        for line in text.lines() {
            let found = line
                .chars()
                .find(|&character| is_order(character) && character != '\t');
            assert_eq!(found, None, "{line:?} of {:?}", outcome.command);
        }
    }
}

fn create(path: &str, rows: &str) {
    let (table, column) = (quote(ORDERS), quote(&format!("{ORDERS}2")));
    Sqlite::script(
        path,
        &format!(
            "CREATE TABLE {table} (id TEXT PRIMARY KEY, {column} TEXT CHECK ({column} <> 'x'), other TEXT REFERENCES {table} (id));
             INSERT INTO {table} VALUES {rows};"
        ),
    );
}

#[test]
fn names_of_tables_and_keys_are_harmless_in_every_output() {
    let (site, source, target) = Site::with_files();
    let key = literal(ORDERS);
    create(&source, &format!("({key}, 'new', NULL)"));
    create(&target, &format!("({key}, 'old', NULL)"));
    for json in [&["--json"] as &[&str], &[]] {
        for arguments in [
            &["tables", &source] as &[&str],
            &["schema", &source, ORDERS],
            &["count", &source, ORDERS],
            &["count", &source, &format!("{ORDERS}3")],
            &["clean", &source],
        ] {
            let outcome = site.run(&[arguments, json].concat());
            check(&outcome);
        }
    }
    let listed = site.run(&["tables", "--json", &source]).events_of("listed");
    assert_eq!(
        listed[0]["table"], ORDERS,
        "a program reads the name itself"
    );

    for json in [true, false] {
        Sqlite::create(&target).run(&format!(
            "UPDATE {} SET {} = 'old'",
            quote(ORDERS),
            quote(&format!("{ORDERS}2"))
        ));
        let share = site.share(&[&source]);
        let new = site.path("new.db");
        let run = |arguments: &[&str]| {
            let json = if json { vec!["--json"] } else { Vec::new() };
            let outcome = site.run(&[arguments, &json].concat());
            check(&outcome);
            outcome
        };
        let (url, code) = (share.url.as_str(), share.code.as_str());
        run(&["diff", url, code, "--with", &target, "--rows"]).expect_exit(3);
        run(&[
            "pull",
            url,
            code,
            "--into",
            &target,
            "--strategy",
            "overwrite",
            "--dry-run",
        ]);
        run(&[
            "pull",
            url,
            code,
            "--into",
            &target,
            "--strategy",
            "overwrite",
            "--yes",
        ])
        .expect_exit(0);
        check(&share.running.wait().expect_exit(0));

        let share = site.share(&[&source]);
        run(&["pull", &share.url, &share.code, "--into", &new, "--dry-run"]).expect_exit(0);
    }
}

#[test]
fn reasons_of_rejects_are_harmless() {
    let (site, source, target) = Site::with_files();
    let key = literal(ORDERS);
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT); INSERT INTO t VALUES ({key}, 'x')"
        ),
    );
    let check_name = quote(ORDERS);
    Sqlite::script(
        &target,
        &format!(
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT, CONSTRAINT {check_name} CHECK (name <> 'x'))"
        ),
    );
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(report.counts("t").failed, 1);
    check(&site.run(&["rejects", &target]).expect_exit(0));
    check(&site.run(&["rejects", "--json", &target]).expect_exit(0));
}

#[test]
fn a_claimers_name_is_harmless() {
    let site = Site::new();
    let source = site.path("source.db");
    create(&source, "('a', 'b', NULL)");
    let share = site.share(&[&source]);
    let mut body: Value = serde_json::from_slice(&claim_body(&share.code, "a secret")).unwrap();
    body["claimer"] = ORDERS.into();
    let answer = request(
        &share.url,
        "POST",
        "/sync/v1/claim",
        None,
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    share.running.wait_for("claimed");
    share.running.signal("TERM");
    check(&share.running.wait());
}

/// Starts a peer that answers everything with an error full of orders; returns its URL.
fn refusing_peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0; 4_096]);
            let error = json!({"error": {"code": "denied", "message": ORDERS, "hint": ORDERS}});
            let body = error.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 403 No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn messages_of_a_peer_are_harmless_also_in_logs() {
    let site = Site::new();
    let (url, target) = (refusing_peer(), site.path("target.db"));
    for json in [&["--json"] as &[&str], &[]] {
        let arguments = ["pull", &url, "A7X9K2M4", "--into", &target];
        let mut command = site.command("pull-data", &[&arguments, json].concat());
        command.env("RUST_LOG", "debug,cranelift=off,wasmtime=off,regalloc2=off");
        let outcome = crate::support::site::Running::start(command)
            .wait()
            .expect_exit(1);
        assert!(format!("{outcome:?}").contains("evil"), "{outcome:?}");
        check(&outcome);
    }
}

#[test]
fn a_terminal_gets_no_orders() {
    let (site, source, target) = Site::with_files();
    create(&source, "('a', 'b', NULL)");
    let share = site.share(&[&source]);
    let commands = [
        ["tables", &source, "", "", ""],
        ["pull", &share.url, &share.code, "--into", &target],
    ];
    for words in commands {
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let command = site.command("pull-data", &words);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(quoted)
            .collect();
        let mut script = Command::new("script");
        script
            .args(["-qec", &words.join(" "), "/dev/null"])
            .env("TOMBOLO_DATA", site.path("pull-data"));
        let Ok(output) = script.output() else {
            skip("terminal", "the program `script` is absent");
            return;
        };
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && shown.contains("evil"), "{shown}");
        for order in [
            "\u{1b}]",
            "\u{7}",
            "\u{9b}",
            "\u{7f}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{feff}",
            "\u{ad}",
            "\u{e0041}",
            "\u{2028}",
        ] {
            assert!(!shown.contains(order), "{order:?} in {shown:?}");
        }
    }
}
