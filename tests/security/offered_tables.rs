//! What a sharing site offers: tables that it can read, and it says once which it does not offer.

use crate::support::SECRET;
use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

#[test]
fn tables_that_a_login_of_postgres_may_not_read_are_not_offered() {
    let Some(database) = Database::new() else {
        return;
    };
    let role = database.role("partly");
    let secrets: String = (0..12)
        .map(|number| format!("CREATE TABLE secret{number} (id integer PRIMARY KEY);"))
        .collect();
    database.run(&format!(
        "CREATE TABLE whole (id integer PRIMARY KEY); INSERT INTO whole VALUES (1), (2);
         CREATE TABLE by_column (id integer PRIMARY KEY, name text); INSERT INTO by_column VALUES (1, 'a');
         CREATE TABLE in_part (id integer PRIMARY KEY, name text); {secrets}
         CREATE ROLE {role} LOGIN PASSWORD '{SECRET}' NOSUPERUSER; GRANT SELECT ON whole TO {role};
         GRANT SELECT (id, name) ON by_column TO {role}; GRANT SELECT (id) ON in_part TO {role}; GRANT INSERT ON secret0 TO {role}",
        role = quote(&role),
    ));
    let (site, url) = (Site::new(), database.url_of(&role));
    let listed = site
        .run(&["tables", "--json", &url])
        .expect_exit(0)
        .events_of("listed");
    let counted = listed
        .iter()
        .filter(|event| event["kind"] == "table")
        .count();
    assert_eq!((listed.len(), counted), (15, 2), "{listed:?}");

    let share = site.share(&[&url]);
    let report = site.pull(&share, &["--into", &site.path("copy.db")]).done();
    assert_eq!(report.tables(), ["by_column", "whole"]);
    assert_eq!(report.counts("whole"), Counts::created(2));
    let shared = share.running.wait().expect_exit(0);
    let left_out = shared.events_of("left-out");
    assert_eq!(left_out.len(), 13, "{left_out:?}");
    assert!(
        left_out
            .iter()
            .all(|event| event["reason"].as_str().unwrap().contains("may not read"))
    );

    let share = site.share(&[&url]);
    let refused = site.pull(&share, &["--into", &site.path("other.db"), "secret1"]);
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
    site.run(&[
        "share",
        "--json",
        "--listen",
        "127.0.0.1:0",
        &url,
        "--tables",
        "secret*",
    ])
    .error("no-such-table")
    .names(&["secret1", "may not read"]);
    database.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", quote(&role)));
}

#[test]
fn tables_of_an_extension_of_postgres_are_left_out() {
    let Some(database) = Database::new() else {
        return;
    };
    // As an extension that keeps data in tables makes them.
    database.run(
        "CREATE EXTENSION citext; CREATE TABLE spatial_ref_sys (srid integer PRIMARY KEY); INSERT INTO spatial_ref_sys VALUES (4326);
         ALTER EXTENSION citext ADD TABLE spatial_ref_sys; CREATE TABLE own (id integer PRIMARY KEY, name citext)",
    );
    let site = Site::new();
    let share = site.share(&[&database.url()]);
    let report = site.pull(&share, &["--into", &site.path("copy.db")]).done();
    assert_eq!(report.tables(), ["own"]);
    let left_out = share.running.wait().expect_exit(0).events_of("left-out");
    assert_eq!(left_out[0]["table"], "spatial_ref_sys");
    assert!(
        left_out[0]["reason"].as_str().unwrap().contains("citext"),
        "{left_out:?}"
    );
}

#[test]
fn a_table_with_a_name_of_tombolos_is_named_as_left_out() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE tombolo_winners (id INTEGER PRIMARY KEY);
         CREATE TABLE Tombolo_2 (id INTEGER PRIMARY KEY); CREATE TABLE tombola (id INTEGER PRIMARY KEY)",
    );
    // The source was a target before.
    let before = site.path("before.db");
    Sqlite::script(&before, "CREATE TABLE old (id INTEGER PRIMARY KEY)");
    site.transfer(&before, &source, &[]);
    let share = site.share(&[&source]);
    let report = site.pull(&share, &["--into", &target]).done();
    assert_eq!(report.tables(), ["old", "t", "tombola"]);
    let left_out = share.running.wait().expect_exit(0).events_of("left-out");
    let names: Vec<_> = left_out
        .iter()
        .map(|event| event["table"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Tombolo_2", "tombolo_winners"]);
}
