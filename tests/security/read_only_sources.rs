//! Sources with read-only files and logins: a source is never written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, quote};
use crate::support::{SECRET, set_mode};

/// The files of a folder with their bytes and modification times.
type Listing = BTreeMap<String, (Vec<u8>, SystemTime)>;

fn listing(folder: &Path) -> Listing {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        (name, (std::fs::read(entry.path()).unwrap(), modified))
    };
    std::fs::read_dir(folder).unwrap().map(entry).collect()
}

/// Shares a file as a user who can read it and its folder but write neither.
fn share_without_write_permission(site: &Site, folder: &Path, file: &Path) -> Share {
    for entry in std::fs::read_dir(folder).unwrap() {
        set_mode(entry.unwrap().path(), 0o444);
    }
    set_mode(folder, 0o555);
    Share::start(site.command_of_nobody(&[
        "share",
        "--json",
        "--listen",
        "127.0.0.1:0",
        file.to_str().unwrap(),
    ]))
}

/// Pulls from a read-only file, and checks that nothing in its folder changed.
fn pull_from_read_only(prepare: impl FnOnce(&str) -> Option<Sqlite>) {
    let site = Site::new();
    let folder = site.path("source");
    let folder = Path::new(&folder);
    std::fs::create_dir(folder).unwrap();
    let file = folder.join("shop.db");
    let writer = prepare(file.to_str().unwrap());
    let before = listing(folder);

    let share = share_without_write_permission(&site, folder, &file);
    let target = site.path("target.db");
    let report = site.pull(&share, &["--into", &target]).done();
    share.running.wait().expect_exit(0);
    assert_eq!(report.counts("t"), Counts::created(3));
    assert_eq!(
        Sqlite::open(&target).number(&format!("SELECT sum(id) FROM {}", quote("t"))),
        6
    );

    let after = listing(folder);
    let names = |listing: &Listing| listing.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(
        before == after,
        "bytes or times of {:?} changed",
        names(&before)
    );
    set_mode(folder, 0o755);
    drop(writer);
}

const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);";

#[test]
fn a_file_with_a_rollback_journal() {
    pull_from_read_only(|path| {
        Sqlite::script(path, &format!("PRAGMA journal_mode = DELETE; {ROWS}"));
        None
    });
}

#[test]
fn a_file_with_a_write_ahead_log() {
    pull_from_read_only(|path| {
        Sqlite::script(path, &format!("PRAGMA journal_mode = WAL; {ROWS}"));
        None
    });
}

#[test]
fn a_file_whose_write_ahead_log_is_in_use() {
    pull_from_read_only(|path| {
        let mut writer = Sqlite::create(path);
        writer.run(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {ROWS}"
        ));
        Some(writer)
    });
}

#[test]
fn a_postgres_login_with_select_only() {
    let Some(database) = Database::new() else {
        return;
    };
    let role = database.role("reader");
    database.run(&format!(
        "CREATE TABLE shown (id integer PRIMARY KEY, name text); INSERT INTO shown VALUES (1, 'a'), (2, NULL);
         CREATE TABLE hidden (id integer PRIMARY KEY);
         CREATE ROLE {role} LOGIN PASSWORD '{SECRET}' NOSUPERUSER; REVOKE ALL ON SCHEMA public FROM PUBLIC;
         REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON shown TO {role};",
        role = quote(&role),
        name = quote(database.name()),
    ));
    let objects = "SELECT count(*) FROM pg_class";
    let before = database.number(objects);
    let site = Site::new();
    let target = site.path("target.db");
    let share = site.share(&[&database.url_of(&role), "--tables", "shown"]);
    let report = site.pull(&share, &["--into", &target]).done();
    share.running.wait().expect_exit(0);
    assert_eq!(report.counts("shown"), Counts::created(2));
    assert_eq!(report.tables(), ["shown"]);
    assert_eq!(
        database.number(objects),
        before,
        "nothing was created in the source"
    );
    let writes =
        "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'shown'";
    assert!(
        database.number(writes) <= 2,
        "only the rows that the test inserted"
    );
    database.run(&format!(
        "DROP OWNED BY {role}; DROP ROLE {role};",
        role = quote(&role)
    ));
}
