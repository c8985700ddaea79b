//! What people see on a terminal of 80 columns.

use std::time::{Duration, Instant};

use crate::support::outcome::Outcome;
use crate::support::site::{Running, Site};
use crate::support::sqlite::{Sqlite, series};
use crate::support::terminal::{self, Screen};

/// A name that is longer than half of the screen.
const LONG: &str = "a_table_whose_name_is_much_longer_than_any_column_that_it_stands_in_could_be";

fn screen(outcome: &Outcome) -> Screen {
    // Every end of a line is one of a terminal.
    Screen::of(&outcome.stdout.join("\r\n"))
}

/// A share in a terminal, with the code and the address that it shows.
struct Shared {
    running: Running,
    code: String,
    url: String,
}

fn share(site: &Site, arguments: &[&str]) -> Shared {
    let all = [&["share", "--listen", "127.0.0.1:0"], arguments].concat();
    let running = terminal::start(site, "share-data", &all, &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.has_printed("tombolo pull http") {
        assert!(Instant::now() < deadline, "{running:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = running.printed();
    let behind = |word: &str| {
        let (_, rest) = text.split_once(word).unwrap();
        rest.split([' ', ',', '\r', '\n'])
            .next()
            .unwrap()
            .to_owned()
    };
    Shared {
        code: behind("Code "),
        url: behind("tombolo pull "),
        running,
    }
}

/// Pulls in a terminal, and returns the screens of both sites.
fn transfer(site: &Site, source: &str, arguments: &[&str]) -> [Screen; 2] {
    let share = share(site, &[source]);
    let all = [&["pull", &share.url], arguments].concat();
    let code = [("TOMBOLO_CODE", share.code.as_str())];
    let pull = terminal::start(site, "pull-data", &all, &code).wait();
    [screen(&pull), screen(&share.running.wait().expect_exit(0))]
}

#[test]
fn the_last_state_of_a_transfer_is_one_summary_that_fits() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
             CREATE TABLE a_name_of_19_signs (id INTEGER PRIMARY KEY, c INTEGER REFERENCES customers (id));
             CREATE TABLE {LONG} (id INTEGER PRIMARY KEY, t TEXT, c INTEGER REFERENCES customers (id), UNIQUE (t));
             {0} INSERT INTO customers SELECT i, 'customer ' || i FROM n;
             {0} INSERT INTO a_name_of_19_signs SELECT i, i FROM n WHERE i <= 54321;
             {0} INSERT INTO {LONG} SELECT i, i, i FROM n WHERE i <= 43210;",
            series(98_765)
        ),
    );
    let [pull, share] = transfer(&site, &source, &["--into", &target]);
    for (name, screen) in [("pull", &pull), ("share", &share)] {
        assert!(screen.wrapped().is_empty(), "{name}:\n{}", screen.text());
        for number in ["98,765", "54,321", "43,210"] {
            assert_eq!(
                screen.count(number),
                1,
                "{name} {number}:\n{}",
                screen.text()
            );
        }
        let text = screen.text();
        for absent in [
            "updated", "same", "skipped", "failed", "[", "rows/s", "left",
        ] {
            assert!(!text.contains(absent), "{name} {absent}:\n{text}");
        }
        for part in [
            "customers",
            "a_name_of_19_signs",
            "a_table_whose",
            "could_be",
            "…",
            "created",
        ] {
            assert!(text.contains(part), "{name} {part}:\n{text}");
        }
    }
    // The sizes are the same at both ends.
    let sizes = |screen: &Screen| -> Vec<String> {
        let lines = screen
            .lines()
            .into_iter()
            .filter(|line| line.contains("iB"));
        let words = lines.map(|line| {
            line.trim_end_matches(" │")
                .rsplit("  ")
                .next()
                .unwrap()
                .to_owned()
        });
        words.collect()
    };
    assert_eq!(sizes(&pull).len(), 3, "{}", pull.text());
    assert_eq!(sizes(&pull), sizes(&share));

    // A bar was there, and never was full while rows were still written.
    assert!(
        pull.states.iter().any(|state| state.contains("rows/s")),
        "{:#?}",
        pull.states
    );
    for state in &pull.states {
        assert!(
            state
                .lines()
                .all(|line| line.chars().count() <= terminal::COLUMNS),
            "{state}"
        );
        let full = |line: &str| line.contains("=]") || line.contains("100 %");
        assert!(!state.lines().any(full), "{state}");
    }

    // What is not carried over is one line a kind, behind the table.
    let text = pull.text();
    let (table, behind) = text.split_once("└").unwrap();
    assert!(!table.contains("foreign key"), "{text}");
    assert!(
        behind.contains("2 foreign keys") && behind.contains("1 unique key"),
        "{text}"
    );
    assert!(behind.contains("--verbose"), "{text}");
    assert_eq!(pull.count("foreign key"), 1, "{text}");
    assert!(!text.contains("WARN") && !share.text().contains("WARN"));
}

#[test]
fn the_code_line_is_short_and_has_local_time_and_minutes() {
    let (site, source, _) = Site::with_files();
    Sqlite::script(&source, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let mut shared = share(&site, &[&source]);
    let (code, url) = (shared.code.clone(), shared.url.clone());
    let groups: Vec<&str> = code.split('-').collect();
    assert!(
        groups.len() == 2 && groups.iter().all(|group| group.len() == 4),
        "{code}"
    );
    // Ctrl-C.
    use std::io::Write as _;
    shared.running.input().write_all(b"\x03").unwrap();
    let screen = screen(&shared.running.wait());
    assert!(screen.wrapped().is_empty(), "{}", screen.text());
    let lines = screen.lines();
    let line = lines.iter().find(|line| line.contains("Code ")).unwrap();
    assert!(line.contains("until ") && line.contains("10 min"), "{line}");
    assert!(!line.contains("+00") && !line.contains("2026"), "{line}");
    let command = format!("  tombolo pull {url} --into copy.db");
    assert!(lines.contains(&command), "{}", screen.text());
}

#[test]
fn rejected_rows_are_grouped_and_the_last_line_names_the_command() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE a_name_of_19_signs (id INTEGER PRIMARY KEY, price INTEGER);
             {} INSERT INTO a_name_of_19_signs SELECT i, i FROM n;",
            series(1_200)
        ),
    );
    Sqlite::script(
        &target,
        "CREATE TABLE a_name_of_19_signs (id INTEGER PRIMARY KEY, price INTEGER CHECK (price NOT BETWEEN 7 AND 240) CHECK (price <> 5))",
    );
    let [pull, _] = transfer(&site, &source, &["--into", "target.db"]);
    let lines = pull.lines();
    let last = lines.last().unwrap();
    assert_eq!(
        last,
        "235 rows were rejected. To see why: tombolo rejects target.db"
    );
    assert!(pull.text().contains("failed"), "{}", pull.text());
    let listed = screen(&terminal::start(&site, "data", &["rejects", "target.db"], &[]).wait());
    let text = listed.text();
    assert!(listed.wrapped().is_empty(), "{text}");
    for part in ["rows", "table", "column", "reason", "234", "235 rows"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(listed.lines().len() < 20, "{text}");
}

#[test]
fn the_question_says_how_many_rows_may_change_and_offers_the_dry_run() {
    use std::io::Write as _;
    let (site, source, target) = Site::with_files();
    let table = |name: &str| {
        format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, '{name}'), (3, 'c');"
        )
    };
    Sqlite::script(&source, &table("new"));
    Sqlite::script(&target, &table("old"));
    let shared = share(&site, &[&source]);
    let code = [("TOMBOLO_CODE", shared.code.as_str())];
    let all = [
        "pull",
        &shared.url,
        "--into",
        &target,
        "--strategy",
        "overwrite",
    ];
    for (typed, name, part) in [
        ("d\n", "old", "Nothing was written."),
        ("y\n", "new", "updated"),
    ] {
        let mut pull = terminal::start(&site, "pull-data", &all, &code);
        let mut input = pull.input();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !pull.has_printed("Up to 3 existing rows may change in: t") {
            assert!(Instant::now() < deadline, "{pull:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        input.write_all(typed.as_bytes()).unwrap();
        let screen = screen(&pull.wait());
        let text = screen.text();
        assert!(text.contains("dry run") && text.contains(part), "{text}");
        assert!(screen.wrapped().is_empty(), "{text}");
        let mut stored = Sqlite::open(&target);
        let wanted = format!("SELECT count(*) FROM t WHERE name = '{name}'");
        assert_eq!(stored.number(&wanted), 1, "{text}");
    }
}
