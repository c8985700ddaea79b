//! Targets that stop taking rows in the middle of a run: the error says why, whole chunks are there, and the run goes on
//! when the cause is gone.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::Command;
use std::time::Duration;

use crate::support::SECRET;
use crate::support::compare::Store;
use crate::support::outcome::{Counts, Outcome};
use crate::support::postgres::Database;
use crate::support::site::{Running, Share, Site};
use crate::support::skip;
use crate::support::sqlite::{Sqlite, quote};

const ROWS: u64 = 100_000;

const TABLE: &str = "CREATE TABLE numbers (id BIGINT PRIMARY KEY, note TEXT)";

fn source(site: &Site) -> String {
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "{TABLE}; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO numbers SELECT i, printf('%0400d', i) FROM n"
        ),
    );
    source
}

fn start(site: &Site, share: &Share, into: &str) -> Running {
    let (url, code) = (share.url.as_str(), share.code.as_str());
    let mut command = site.command("pull-data", &["pull", "--json", url, code, "--into", into]);
    // A frame is a chunk.
    command.env("TOMBOLO_CHUNK_ROWS", "1");
    Running::start(command)
}

fn count(target: &Store) -> u64 {
    let rows = match target {
        Store::Sqlite(path) => Sqlite::rows_now(path, "SELECT CAST(count(*) AS TEXT) FROM numbers"),
        Store::Postgres(database) => Some(database.rows("SELECT count(*)::text FROM numbers")),
    };
    rows.map_or(0, |rows| rows[0][0].as_ref().unwrap().parse().unwrap())
}

/// What the ledger says of the rows that are there.
fn ledger(target: &Store) -> u64 {
    let (ledger, text) = match target {
        Store::Sqlite(_) => ("tombolo_ledger", "CAST(sum(created) AS TEXT)"),
        Store::Postgres(_) => ("tombolo.ledger", "sum(created)::text"),
    };
    let rows = target.rows(&format!("SELECT {text} FROM {ledger}"));
    rows[0][0].as_ref().unwrap().parse().unwrap()
}

/// A pull that breaks off for a reason in the target, and goes on when that is gone.
fn interrupted(
    target: &Store,
    into: &str,
    during: impl FnOnce(&Running),
    cause: &str,
    mend: impl FnOnce(),
) {
    let site = Site::new();
    let share = site.share(&[&source(&site)]);
    let mut pull = start(&site, &share, into);
    while pull.is_running() && count(target) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    during(&pull);
    let outcome: Outcome = pull.wait();
    outcome.error("database").names(&[cause]).has_hint();
    let there = count(target);
    assert!(there > 0 && there < ROWS, "{there} rows");
    assert_eq!(there, ledger(target), "whole chunks");
    mend();
    let report = start(&site, &share, into).wait().done();
    let all = Counts {
        created: ROWS,
        ..Counts::default()
    };
    assert_eq!(report.counts("numbers"), all);
    assert_eq!(count(target), ROWS);
    share.running.wait().expect_exit(0);
}

#[test]
fn a_right_that_is_taken_away_from_a_login_of_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let (name, role) = (quote(database.name()), database.role("writer"));
    database.run(&format!(
        "{TABLE}; CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON DATABASE {name} TO {role};
         GRANT SELECT, INSERT, UPDATE ON numbers TO {role}"
    ));
    let into = database.url_of(&role);
    let target = Store::Postgres(database);
    interrupted(
        &target,
        &into,
        |_| target.run(&format!("REVOKE INSERT ON numbers FROM {role}")),
        "42501",
        || target.run(&format!("GRANT INSERT ON numbers TO {role}")),
    );
    target.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_table_that_changes_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let target = Store::Postgres(database);
    target.run(TABLE);
    interrupted(
        &target,
        &target.location(),
        |_| target.run("ALTER TABLE numbers RENAME note TO remark"),
        "42703",
        || target.run("ALTER TABLE numbers RENAME remark TO note"),
    );
}

#[test]
fn a_table_that_changes_in_sqlite() {
    let site = Site::new();
    let file = site.path("target.db");
    let target = Store::Sqlite(file.clone());
    target.run(&format!("PRAGMA journal_mode = WAL; {TABLE}"));
    let change = |pull: &Running| {
        // It has the lock nearly all the time, and SQLite lets nobody wait in line.
        for _ in 0..1_000 {
            pull.signal("STOP");
            let changed = Sqlite::run_now(&file, "ALTER TABLE numbers RENAME note TO remark");
            pull.signal("CONT");
            if changed {
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    };
    interrupted(&target, &target.location(), change, "note", || {
        target.run("ALTER TABLE numbers RENAME remark TO note")
    });
}

#[test]
fn a_postgres_database_that_is_read_only() {
    let Some(database) = Database::new() else {
        return;
    };
    let name = quote(database.name());
    database.run(&format!(
        "{TABLE}; ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    let site = Site::new();
    let share = site.share(&[&source(&site)]);
    let outcome = start(&site, &share, &database.url()).wait();
    outcome.error("database").names(&["25006"]).has_hint();
    assert_eq!(database.number("SELECT count(*) FROM numbers"), 0);
    assert_eq!(database.tables(), ["numbers"]);
}

#[test]
fn a_sqlite_file_that_may_not_be_written() {
    let site = Site::new();
    let share = site.share(&[&source(&site)]);
    let folder = site.path("closed");
    std::fs::create_dir(&folder).unwrap();
    let file = format!("{folder}/target.db");
    Sqlite::script(&file, TABLE);
    let before = std::fs::read(&file).unwrap();
    let (url, code) = (share.url.as_str(), share.code.as_str());
    let allow = |path: &str, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&file, 0o444);
    allow(&folder, 0o555);
    let command = site.command_of_nobody(&["pull", "--json", url, code, "--into", &file]);
    let outcome = Running::start(command).wait();
    outcome
        .error("database")
        .names(&["cannot be written"])
        .has_hint();
    assert_eq!(std::fs::read(&file).unwrap(), before);
    allow(&folder, 0o755);
}

/// A small disk; unmounted with the value.
struct Disk {
    folder: String,
}

impl Disk {
    /// None where nothing may be mounted, which is said.
    fn mount(site: &Site) -> Option<Self> {
        let folder = site.path("disk");
        std::fs::create_dir(&folder).unwrap();
        let disk = Self { folder };
        if disk.resize("8m", &[]) {
            return Some(disk);
        }
        skip("full_disk", "mounting a small disk is not allowed here");
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
    let target = Store::Sqlite(format!("{}/target.db", disk.folder));
    target.run(TABLE);
    interrupted(&target, &target.location(), |_| {}, "full", || disk.grow());
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
    std::fs::set_permissions(site.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let space = database.role("disk");
    database.run(&format!(
        "CREATE TABLESPACE {space} LOCATION '{}'",
        disk.folder
    ));
    database.run(&format!("{TABLE} TABLESPACE {space}"));
    let target = Store::Postgres(database);
    interrupted(&target, &target.location(), |_| {}, "53100", || disk.grow());
    target.run("DROP TABLE numbers");
    target.run(&format!("DROP TABLESPACE {space}"));
}
