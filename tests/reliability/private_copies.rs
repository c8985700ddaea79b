//! Private copies of SQLite files: an open one has no name, and what a crash leaves is removed by the next start.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::set_mode;
use crate::support::site::{Running, Share, Site};
use crate::support::sqlite::{Sqlite, series};

/// A command whose temporary files are in a folder of the test.
fn command(site: &Site, arguments: &[&str]) -> Command {
    let folder = site.path("temporary");
    fs::create_dir_all(&folder).unwrap();
    let mut command = site.command("share-data", arguments);
    command.env("TMPDIR", folder);
    command
}

/// The names in the folder for temporary files.
fn names(site: &Site) -> Vec<String> {
    let entries = fs::read_dir(site.path("temporary")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_killed_share_leaves_no_copy_of_the_database() {
    for mode in ["DELETE", "WAL"] {
        let site = Site::new();
        let source = site.path("source.db");
        Sqlite::script(
            &source,
            &format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
                 {} INSERT INTO t SELECT i, 'name ' || i FROM n;",
                series(1_000_000)
            ),
        );
        let share = ["share", "--json", "--listen", "127.0.0.1:0", &source];
        let share = Share::start(command(&site, &share));
        let copy = site.path("copy.db");
        let into = ["--into", copy.as_str()];
        let mut pull = site.start_pull_with_small_chunks(&share.url, &share.code, &into);
        pull.wait_for("progress");
        assert!(pull.is_running(), "{mode}: {pull:?}");
        assert_eq!(names(&site), Vec::<String>::new(), "{mode}");
        share.running.signal("KILL");
        share.running.wait();
        assert_eq!(names(&site), Vec::<String>::new(), "{mode}");
    }
}

#[test]
fn a_start_removes_the_copies_of_dead_processes_only() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(&source, "CREATE TABLE t (id INTEGER PRIMARY KEY);");
    let start = || {
        let tables = Running::start(command(&site, &["tables", &source]));
        tables.wait().expect_exit(0);
    };
    start();
    let folder = |name: &str| {
        let folder = PathBuf::from(site.path("temporary")).join(name);
        fs::create_dir(&folder).unwrap();
        set_mode(folder.to_str().unwrap(), 0o700);
        fs::write(folder.join("snapshot.sqlite"), "a copy").unwrap();
        folder
    };
    fs::write(folder("tombolo-copy-dead").join("lock"), "").unwrap();
    let lock = File::create(folder("tombolo-copy-live").join("lock")).unwrap();
    lock.lock().unwrap();
    // Another process creates it just now.
    folder("tombolo-copy-young");
    let open = folder("tombolo-copy-open");
    fs::write(open.join("lock"), "").unwrap();
    set_mode(open.to_str().unwrap(), 0o777);
    folder("other");
    let outside = site.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(format!("{outside}/lock"), "").unwrap();
    symlink(&outside, site.path("temporary/tombolo-copy-link")).unwrap();
    start();
    let kept = [
        "other",
        "tombolo-copy-link",
        "tombolo-copy-live",
        "tombolo-copy-open",
        "tombolo-copy-young",
    ];
    assert_eq!(names(&site), kept);
    assert!(fs::exists(format!("{outside}/lock")).unwrap());
    drop(lock);
    start();
    assert!(!names(&site).contains(&"tombolo-copy-live".to_owned()));
}

#[test]
fn a_share_that_is_killed_while_it_copies_leaves_nothing_for_long() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO t SELECT i, randomblob(1000000) FROM n;",
    );
    let share = ["share", "--json", "--listen", "127.0.0.1:0", &source];
    let share = Share::start(command(&site, &share));
    let pull = site.start_pull(&share.url, &share.code, &["--into", &site.path("copy.db")]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while names(&site).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    share.running.signal("KILL");
    share.running.wait();
    drop(pull);
    Running::start(command(&site, &["tables", &source]))
        .wait()
        .expect_exit(0);
    assert_eq!(names(&site), Vec::<String>::new());
}
