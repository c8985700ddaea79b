//! SQLite files that a stranger made, as sources and as targets, and paths that are no files.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, series};

/// Makes a pipe.
fn pipe(path: &str) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "mkfifo {path}");
}

/// A file that Tombolo pulled into, with its own tables.
fn pulled() -> (Site, String, String) {
    let (site, source, target) = Site::with_files();
    let create = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);";
    Sqlite::script(
        &source,
        &format!("{create} INSERT INTO t VALUES (1, 'a'), (2, 'b')"),
    );
    site.transfer(&source, &target, &[]);
    (site, source, target)
}

#[test]
fn objects_in_the_place_of_own_tables_are_refused_by_name() {
    let (site, source, target) = pulled();
    let share = site.share(&[&source]);
    for (sql, object) in [
        (
            "CREATE TRIGGER x AFTER INSERT ON tombolo_ledger BEGIN DELETE FROM t; END",
            "trigger \"x\"",
        ),
        (
            "CREATE INDEX x ON tombolo_ledger (lower(run))",
            "index \"x\"",
        ),
        (
            "DROP TABLE tombolo_ledger; CREATE VIEW tombolo_ledger AS SELECT 1 AS run",
            "view \"tombolo_ledger\"",
        ),
        (
            "DROP TABLE tombolo_rejects; CREATE VIRTUAL TABLE tombolo_rejects USING fts5(run)",
            "table \"tombolo_rejects\"",
        ),
        (
            "ALTER TABLE tombolo_columns ADD COLUMN more GENERATED ALWAYS AS (1)",
            "table \"tombolo_columns\"",
        ),
        (
            "DROP TABLE tombolo_rejects; CREATE TABLE TOMBOLO_REJECTS (run CHECK (length(run) > 0))",
            "table \"TOMBOLO_REJECTS\"",
        ),
        (
            "CREATE TABLE child (run REFERENCES tombolo_ledger ON DELETE CASCADE)",
            "table \"child\"",
        ),
    ] {
        let file = site.path("hostile.db");
        std::fs::copy(&target, &file).unwrap();
        Sqlite::script(&file, sql);
        let before = std::fs::read(&file).unwrap();
        // The origins of columns are read while the pull is planned.
        let code = if sql.contains("tombolo_columns") {
            "database"
        } else {
            "no-ledger"
        };
        let failure = site.pull(&share, &["--yes", "--into", &file]).error(code);
        failure.names(&[object]).has_hint();
        let cleaned = site.run(&["clean", "--json", &file]).error("no-ledger");
        cleaned.names(&[object]);
        assert_eq!(Sqlite::open(&file).number("SELECT count(*) FROM t"), 2);
        assert!(std::fs::read(&file).unwrap() == before, "{sql}");
    }
}

#[test]
fn a_view_in_the_place_of_the_columns_is_not_read_by_a_share() {
    let (site, source, _) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY);
         CREATE VIEW tombolo_columns AS SELECT 't' AS table_name, 'id' AS column_name, 'pg:uuid' AS origin, 1 AS numbered",
    );
    let failure = site
        .run(&["schema", "--json", &source, "t"])
        .error("no-ledger");
    failure.names(&["view \"tombolo_columns\""]).has_hint();
    let rejects = site.run(&["rejects", "--json", &source]).expect_exit(0);
    assert!(rejects.events_of("rejected").is_empty());
}

/// Views, each of which joins the one before ten times: resolving the last one takes for ever.
fn view_bomb() -> String {
    let mut sql = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);
                   CREATE VIEW v0 AS SELECT id FROM t;"
        .to_owned();
    for number in 1..12 {
        let before = number - 1;
        let joined: Vec<String> = (0..10)
            .map(|join| format!("v{before} AS j{join}"))
            .collect();
        sql.push_str(&format!(
            "CREATE VIEW v{number} AS SELECT j0.id FROM {};",
            joined.join(", ")
        ));
    }
    sql
}

#[test]
fn views_and_virtual_tables_of_a_file_are_not_opened() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(&source, &view_bomb());
    // A virtual table whose data are damaged cannot be opened.
    Sqlite::script(
        &source,
        "CREATE VIRTUAL TABLE words USING fts5(word); DROP TABLE words_config",
    );
    let began = Instant::now();
    let listed = site.run(&["tables", "--json", &source]).expect_exit(0);
    assert!(listed.stdout.join("\n").contains("\"v11\""), "{listed:?}");
    site.transfer(&source, &target, &[]);
    assert_eq!(Sqlite::open(&target).number("SELECT count(*) FROM t"), 1);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

/// Replaces the text of an object in a file's schema.
fn rewrite(path: &str, name: &str, sql: &str) {
    let sql = sql.replace('\'', "''");
    Sqlite::script(
        path,
        &format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{sql}' WHERE name = '{name}'"
        ),
    );
}

#[test]
fn functions_in_a_hostile_schema_are_not_called() {
    for (create, name, sql) in [
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (lower(v))",
            "i",
            "CREATE INDEX i ON t (load_extension(v))",
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v AS (lower(id)))",
            "t",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v AS (load_extension('/nowhere/hostile')))",
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (v > ''))",
            "t",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (load_extension(v)))",
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW w AS SELECT 1",
            "w",
            "CREATE VIEW w AS SELECT load_extension('/nowhere/hostile')",
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY)",
            "t",
            "CREATE TABLE t (this is no statement",
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE u (id)",
            "u",
            "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        ),
    ] {
        let (site, source, target) = Site::with_files();
        Sqlite::script(&source, create);
        rewrite(&source, name, sql);
        for arguments in [
            vec!["tables", "--json", &source],
            vec!["schema", "--json", &source, "t"],
            vec!["count", "--json", &source, "t"],
        ] {
            let outcome = site.run(&arguments);
            let texts = format!("{}{:?}", outcome.stderr, outcome.stdout);
            assert!(!texts.contains("panicked"), "{outcome:?}");
            // SQLite says this when it looks for a library.
            assert!(!texts.contains("shared object"), "{outcome:?}");
            assert!(
                [Some(0), Some(1)].contains(&outcome.status.code()),
                "{outcome:?}"
            );
        }
        // As a target: its schema runs with the rows that arrive.
        let other = site.path("other.db");
        Sqlite::script(
            &other,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '/nowhere/hostile')",
        );
        std::fs::copy(&source, &target).unwrap();
        let share = site.share(&[&other]);
        let outcome = site.pull(&share, &["--yes", "--into", &target]);
        assert!(
            !format!("{outcome:?}").contains("shared object"),
            "{outcome:?}"
        );
        assert!(
            [Some(0), Some(1)].contains(&outcome.status.code()),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_path_that_is_no_file_is_refused_at_once() {
    let site = Site::new();
    let (fifo, dangling, outside) = (site.path("pipe"), site.path("link"), site.path("made.db"));
    pipe(&fifo);
    symlink(&outside, &dangling).unwrap();
    let began = Instant::now();
    for path in [&fifo, &dangling, "/dev/null", "/dev/zero", "."] {
        site.run(&["tables", "--json", path]).error("unreachable");
        let pull = [
            "pull",
            "--json",
            "http://127.0.0.1:9",
            "CODE",
            "--into",
            path,
        ];
        site.run(&pull).error("unreachable").names(&[path]);
    }
    assert!(
        !Path::new(&outside).exists(),
        "a file was made where the link points"
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn pipes_and_links_beside_a_file_are_refused_at_once() {
    for suffix in ["-wal", "-shm", "-journal"] {
        for is_link in [false, true] {
            let (site, source, _) = Site::with_files();
            Sqlite::script(
                &source,
                "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)",
            );
            let beside = format!("{source}{suffix}");
            let _ = std::fs::remove_file(&beside);
            if is_link {
                symlink(site.path("elsewhere"), &beside).unwrap();
            } else {
                pipe(&beside);
            }
            let failure = site
                .run(&["tables", "--json", &source])
                .error("unreachable");
            failure.names(&[&beside]);
            let pull = [
                "pull",
                "--json",
                "http://127.0.0.1:9",
                "CODE",
                "--into",
                &source,
            ];
            site.run(&pull).error("unreachable").names(&[&beside]);
            assert!(!Path::new(&site.path("elsewhere")).exists());
        }
    }
}

#[test]
fn private_copies_are_private_whatever_the_umask() {
    for (umask, journal) in [("000", "DELETE"), ("000", "WAL"), ("022", "DELETE")] {
        let (site, source, _) = Site::with_files();
        Sqlite::script(
            &source,
            &format!(
                "PRAGMA journal_mode = {journal}; CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB);
                 {} INSERT INTO t SELECT i, randomblob(1000000) FROM n",
                series(60)
            ),
        );
        let temporary = site.path("tmp");
        std::fs::create_dir(&temporary).unwrap();
        // Made before: the umask is for the copies.
        site.run(&["tables", &source]).expect_exit(0);
        let all = ["share", "--json", "--listen", "127.0.0.1:0", &source];
        let share = site.command("share-data", &all);
        std::fs::create_dir_all(site.path("share-data")).unwrap();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
            .arg(share.get_program())
            .args(share.get_args())
            .current_dir(site.path(""));
        for (name, value) in share.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("TMPDIR", &temporary);
        let share = Share::start(command);
        let target = site.path("target.db");
        // An open copy has no name: only while it is made can it be seen.
        let mut found = 0;
        let pull = site.start_pull(&share.url, &share.code, &["--yes", "--into", &target]);
        let deadline = Instant::now() + Duration::from_secs(30);
        while found == 0 && Instant::now() < deadline {
            found = check_modes(&temporary);
        }
        pull.wait().done();
        assert!(found > 0, "no copy was seen");
    }
}

/// Checks the modes of all private copies in a folder; returns how many files there are.
fn check_modes(temporary: &str) -> usize {
    let mut files = 0;
    for folder in std::fs::read_dir(temporary).unwrap().flatten() {
        let Ok(metadata) = folder.metadata() else {
            continue;
        };
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{folder:?}");
        let Ok(copies) = std::fs::read_dir(folder.path()) else {
            continue;
        };
        for copy in copies.flatten() {
            let Ok(metadata) = copy.metadata() else {
                continue;
            };
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{copy:?}");
            files += 1;
        }
    }
    files
}
