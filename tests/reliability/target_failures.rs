//! Targets that fail in the middle of a run: the error names the cause, the target has only whole chunks, and the run
//! resumes when the cause is gone.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::Command;
use std::time::Duration;

use crate::support::any_database::AnyDatabase;
use crate::support::outcome::{Counts, Outcome};
use crate::support::postgres::Database;
use crate::support::site::{Running, Share, Site};
use crate::support::sqlite::{Sqlite, quote, series};
use crate::support::{SECRET, set_mode, skip};

const ROWS: u64 = 100_000;

const TABLE: &str = "CREATE TABLE numbers (id BIGINT PRIMARY KEY, note TEXT)";

/// Creates a source with many rows of 400 characters.
fn create_source(site: &Site) -> String {
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "{TABLE}; {} INSERT INTO numbers SELECT i, printf('%0400d', i) FROM n",
            series(ROWS)
        ),
    );
    source
}

fn start(site: &Site, share: &Share, into: &str) -> Running {
    site.start_pull_with_small_chunks(&share.url, &share.code, &["--into", into])
}

fn count(target: &AnyDatabase) -> u64 {
    let rows = match target {
        AnyDatabase::Sqlite(path) => {
            Sqlite::try_rows(path, "SELECT CAST(count(*) AS TEXT) FROM numbers")
        }
        AnyDatabase::Postgres(database) => {
            Some(database.rows("SELECT count(*)::text FROM numbers"))
        }
    };
    rows.map_or(0, |rows| rows[0][0].as_ref().unwrap().parse().unwrap())
}

/// The number of created rows in the ledger.
fn ledger_count(target: &AnyDatabase) -> u64 {
    let (ledger, text) = match target {
        AnyDatabase::Sqlite(_) => ("tombolo_ledger", "CAST(sum(created) AS TEXT)"),
        AnyDatabase::Postgres(_) => ("tombolo.ledger", "sum(created)::text"),
    };
    let rows = target.rows(&format!("SELECT {text} FROM {ledger}"));
    rows[0][0].as_ref().unwrap().parse().unwrap()
}

/// Runs a pull that fails with `cause` after `during`, and resumes after `repair`.
fn check_interrupted(
    target: &AnyDatabase,
    into: &str,
    during: impl FnOnce(&Running),
    cause: &str,
    repair: impl FnOnce(),
) {
    let site = Site::new();
    let share = site.share(&[&create_source(&site)]);
    let mut pull = start(&site, &share, into);
    while pull.is_running() && count(target) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    during(&pull);
    let outcome: Outcome = pull.wait();
    outcome.error("database").names(&[cause]).has_hint();
    let stored = count(target);
    assert!(stored > 0 && stored < ROWS, "{stored} rows");
    assert_eq!(stored, ledger_count(target), "whole chunks");
    repair();
    let report = start(&site, &share, into).wait().done();
    let all = Counts::created(ROWS);
    assert_eq!(report.counts("numbers"), all);
    assert_eq!(count(target), ROWS);
    share.running.wait().expect_exit(0);
}

#[test]
fn a_privilege_is_revoked_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let (name, role) = (quote(database.name()), database.role("writer"));
    database.run(&format!(
        "{TABLE}; CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON DATABASE {name} TO {role};
         GRANT SELECT, INSERT, UPDATE ON numbers TO {role}"
    ));
    let into = database.url_of(&role);
    let target = AnyDatabase::Postgres(database);
    check_interrupted(
        &target,
        &into,
        |_| target.run(&format!("REVOKE INSERT ON numbers FROM {role}")),
        "42501",
        || target.run(&format!("GRANT INSERT ON numbers TO {role}")),
    );
    target.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_column_is_renamed_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let target = AnyDatabase::Postgres(database);
    target.run(TABLE);
    check_interrupted(
        &target,
        &target.location(),
        |_| target.run("ALTER TABLE numbers RENAME note TO remark"),
        "42703",
        || target.run("ALTER TABLE numbers RENAME remark TO note"),
    );
}

#[test]
fn a_column_is_renamed_in_sqlite() {
    let site = Site::new();
    let file = site.path("target.db");
    let target = AnyDatabase::Sqlite(file.clone());
    target.run(&format!("PRAGMA journal_mode = WAL; {TABLE}"));
    let change = |pull: &Running| {
        // The pull holds the lock nearly all the time, and SQLite has no queue of waiting writers.
        for _ in 0..1_000 {
            pull.signal("STOP");
            let changed = Sqlite::try_run(&file, "ALTER TABLE numbers RENAME note TO remark");
            pull.signal("CONT");
            if changed {
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    };
    check_interrupted(&target, &target.location(), change, "note", || {
        target.run("ALTER TABLE numbers RENAME remark TO note")
    });
}

#[test]
fn a_postgres_database_is_read_only() {
    let Some(database) = Database::new() else {
        return;
    };
    let name = quote(database.name());
    database.run(&format!(
        "{TABLE}; ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    let site = Site::new();
    let share = site.share(&[&create_source(&site)]);
    let outcome = start(&site, &share, &database.url()).wait();
    outcome.error("database").names(&["25006"]).has_hint();
    assert_eq!(database.number("SELECT count(*) FROM numbers"), 0);
    assert_eq!(database.tables(), ["numbers"]);
}

#[test]
fn a_sqlite_file_is_not_writable() {
    let site = Site::new();
    let share = site.share(&[&create_source(&site)]);
    let folder = site.path("closed");
    std::fs::create_dir(&folder).unwrap();
    let file = format!("{folder}/target.db");
    Sqlite::script(&file, TABLE);
    let before = std::fs::read(&file).unwrap();
    let (url, code) = (share.url.as_str(), share.code.as_str());
    set_mode(&file, 0o444);
    set_mode(&folder, 0o555);
    let command = site.command_of_nobody(&["pull", "--json", url, code, "--into", &file]);
    let outcome = Running::start(command).wait();
    outcome
        .error("database")
        .names(&["cannot be written"])
        .has_hint();
    assert_eq!(std::fs::read(&file).unwrap(), before);
    set_mode(&folder, 0o755);
}

/// A small file system in memory; unmounted when dropped.
struct Disk {
    folder: String,
}

impl Disk {
    /// Mounts one; returns `None` and says so where mounting is not allowed.
    fn mount(site: &Site) -> Option<Self> {
        let folder = site.path("disk");
        std::fs::create_dir(&folder).unwrap();
        let disk = Self { folder };
        if disk.resize("8m", &[]) {
            return Some(disk);
        }
        skip("full_disk", "mounting a small disk needs root");
        None
    }

    fn resize(&self, size: &str, options: &[&str]) -> bool {
        let options = [&[format!("size={size}").as_str()], options]
            .concat()
            .join(",");
        let mut mount = Command::new("mount");
        let line = ["-t", "tmpfs", "-o", &options, "tmpfs", &self.folder];
        mount
            .args(line)
            .output()
            .is_ok_and(|done| done.status.success())
    }

    fn grow(&self) {
        assert!(self.resize("256m", &["remount"]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.folder).output();
    }
}

#[test]
fn a_full_disk_under_sqlite() {
    let site = Site::new();
    let Some(disk) = Disk::mount(&site) else {
        return;
    };
    let target = AnyDatabase::Sqlite(format!("{}/target.db", disk.folder));
    target.run(TABLE);
    check_interrupted(&target, &target.location(), |_| {}, "full", || disk.grow());
}

#[test]
fn a_full_disk_under_postgres() {
    let site = Site::new();
    let (Some(disk), Some(database)) = (Disk::mount(&site), Database::new()) else {
        return;
    };
    let data = database.rows("SELECT current_setting('data_directory')");
    let owner = std::fs::metadata(data[0][0].as_ref().unwrap())
        .unwrap()
        .uid();
    chown(&disk.folder, Some(owner), None).unwrap();
    set_mode(site.path(""), 0o755);
    let space = database.role("disk");
    database.run(&format!(
        "CREATE TABLESPACE {space} LOCATION '{}'",
        disk.folder
    ));
    database.run(&format!("{TABLE} TABLESPACE {space}"));
    let target = AnyDatabase::Postgres(database);
    check_interrupted(&target, &target.location(), |_| {}, "53100", || disk.grow());
    target.run("DROP TABLE numbers");
    target.run(&format!("DROP TABLESPACE {space}"));
}
