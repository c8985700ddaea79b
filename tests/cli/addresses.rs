//! Addresses of databases: what is in them has its meaning, or is refused.

use crate::support::postgres::Database;
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// An address with one more parameter.
fn with(url: &str, parameter: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{parameter}")
}

#[test]
fn urls_of_sqlite_name_the_file_that_they_name_elsewhere() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let absolute = site.path("abs.db");
    for (address, file) in [
        ("file:one.db", "one.db"),
        ("sqlite3:two.db", "two.db"),
        ("sqlite:three.db?mode=rwc", "three.db"),
        ("sqlite://four%20.db", "four .db"),
        (&format!("sqlite://{absolute}"), "abs.db"),
        (&format!("file://{}", site.path("abs2.db")), "abs2.db"),
    ] {
        let before = std::fs::read_dir(site.path("")).unwrap().count();
        site.transfer(&source, address, &[]);
        let mut copy = Sqlite::open(&site.path(file));
        assert_eq!(copy.tables().len(), 1, "{address}");
        drop(copy);
        let after = std::fs::read_dir(site.path("")).unwrap().flatten();
        let after: Vec<_> = after
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let odd = after
            .iter()
            .filter(|name| name.contains(':') || name.contains('?') || name.contains('%'));
        assert_eq!(odd.count(), 0, "{address}: {after:?} of {before}");
    }
    site.run(&["tables", "--json", "file:source.db?mode=ro"])
        .expect_exit(0);
}

#[test]
fn urls_of_sqlite_that_forbid_writing_or_name_no_file_create_nothing() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let old = create_one_row(&site, "old.db");
    let before = std::fs::read(&old).unwrap();
    for address in [
        "file:new.db?mode=ro",
        "sqlite:new.db?mode=rw",
        "sqlite:old.db?mode=ro",
    ] {
        let share = site.share(&[&source]);
        site.pull(&share, &["--into", address]).error("unreachable");
    }
    site.run(&["clean", "--json", "file:old.db?mode=ro"])
        .error("unreachable");
    assert_eq!(std::fs::read(&old).unwrap(), before);
    for address in [
        ":memory:",
        "sqlite::memory:",
        "file:new.db?mode=memory",
        "file:new.db?vfs=unix",
        "sqlite:///new.db",
        "sqlite4:new.db",
        "jdbc:sqlite:new.db",
        "file://server/new.db",
        "host=localhost dbname=new",
        "sqlite:new.db?cache=shared",
    ] {
        let outcome = site.run(&["pull", "http://127.0.0.1:1", "A7X9K2M4", "--into", address]);
        assert_eq!(outcome.status.code(), Some(2), "{address}: {outcome:?}");
    }
    let files = std::fs::read_dir(site.path("")).unwrap().flatten();
    let new = files.filter(|entry| entry.file_name().to_string_lossy().contains("new"));
    assert_eq!(new.count(), 0);
}

#[test]
fn the_schema_of_a_postgres_url_is_the_one_that_is_read_and_written() {
    let Some(database) = Database::new() else {
        return;
    };
    database.run(
        "CREATE TABLE t (id integer PRIMARY KEY, place text); INSERT INTO t VALUES (1, 'public');
         CREATE SCHEMA app; CREATE TABLE app.t (id integer PRIMARY KEY, place text); INSERT INTO app.t VALUES (1, 'app'), (2, 'app');
         CREATE SCHEMA \"My Copy\"",
    );
    let (site, url) = (Site::new(), database.url());
    for parameter in [
        "schema=app",
        "currentSchema=app",
        "search_path=app,public",
        "options=-c%20search_path%3Dapp",
    ] {
        let copy = site.path(&format!("{}.db", &parameter[..6]));
        site.transfer(&with(&url, parameter), &copy, &["t"]);
        let mut copy = Sqlite::open(&copy);
        assert_eq!(
            copy.number("SELECT count(*) FROM t WHERE place = 'app'"),
            2,
            "{parameter}"
        );
    }
    let report = site.transfer(
        &with(&url, "schema=app"),
        &with(&url, "schema=My%20Copy"),
        &[],
    );
    assert_eq!(report.tables(), ["t"]);
    assert_eq!(
        database.number("SELECT count(*) FROM \"My Copy\".t WHERE place = 'app'"),
        2
    );
    assert_eq!(database.number("SELECT count(*) FROM t"), 1);
    for (parameter, named) in [
        ("shema=app", "shema"),
        ("pgbouncer=true", "pgbouncer"),
        ("sslmode=maybe", "sslmode"),
        ("schema=app&currentSchema=app", "currentSchema"),
    ] {
        let outcome = site.run(&["tables", &with(&url, parameter)]);
        assert_eq!(outcome.status.code(), Some(2), "{parameter}: {outcome:?}");
        assert!(format!("{outcome:?}").contains(named), "{outcome:?}");
    }
    site.run(&["tables", "--json", &with(&url, "schema=none")])
        .error("unreachable")
        .names(&["none", "search_path"]);
}

#[test]
fn a_postgres_server_is_reached_by_its_ipv6_address() {
    let Some(server) =
        crate::support::private_server::PrivateServer::start("-c listen_addresses=::1,127.0.0.1")
    else {
        return;
    };
    if std::net::TcpStream::connect(("::1", server.port())).is_err() {
        return;
    }
    server.run(
        "postgres",
        "postgres",
        "CREATE TABLE t (id integer PRIMARY KEY)",
    );
    let site = Site::new();
    let port = server.port();
    for host in [format!("[::1]:{port}"), format!("[0:0:0:0:0:0:0:1]:{port}")] {
        let url = format!("postgres://postgres@{host}/postgres?sslmode=disable&connect_timeout=3");
        let listed = site.run(&["tables", "--json", &url]).expect_exit(0);
        assert_eq!(listed.events_of("listed").len(), 1, "{listed:?}");
    }
}
