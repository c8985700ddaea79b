//! Other logins put code on Tombolo's own tables in PostgreSQL: nothing of it runs, and the error says what it is.

use crate::support::outcome::Outcome;
use crate::support::private_server::PrivateServer;
use crate::support::site::Site;

/// Logins: a superuser, who shares and pulls, and one who may create in every database.
const LOGINS: &str = "CREATE ROLE boss LOGIN SUPERUSER; CREATE ROLE mallory LOGIN;";

/// Mallory's code: whoever runs it makes mallory a superuser.
const EVIL: &str = "
    CREATE FUNCTION evil() RETURNS boolean LANGUAGE plpgsql AS
      'BEGIN RAISE LOG ''evil runs''; EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN true; END';
    CREATE FUNCTION evil_trigger() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN RAISE LOG ''evil runs''; EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN NEW; END';
    CREATE FUNCTION evil_rows() RETURNS SETOF text LANGUAGE plpgsql AS
      'BEGIN RAISE LOG ''evil runs''; EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN NEXT ''x''; END';";

/// Creates databases, each with a table, in which mallory may create.
fn databases(server: &PrivateServer, names: &[&str]) {
    for name in names {
        server.run("postgres", "postgres", &format!("CREATE DATABASE {name}"));
        let sql = format!(
            "CREATE TABLE t (id integer PRIMARY KEY, name text); GRANT CREATE ON DATABASE {name} TO mallory;
             GRANT CREATE ON SCHEMA public TO mallory;"
        );
        server.run("postgres", name, &sql);
        server.run("mallory", name, EVIL);
    }
}

/// Checks that mallory's code did not run.
fn nothing_ran(server: &PrivateServer, case: &str) {
    let supers = server.texts(
        "postgres",
        "SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolname = 'mallory'",
    );
    assert!(supers.is_empty(), "{case}");
    assert!(!server.log().contains("evil runs"), "{case}");
}

fn refused(outcome: Outcome, code: &str, names: &[&str]) {
    outcome.error(code).names(names).has_hint();
}

/// What each case does, as whom, and what the error says.
struct Case {
    login: &'static str,
    sql: &'static str,
    names: [&'static str; 2],
}

/// On tables that Tombolo made. Mallory had the right to do it, or did it as the owner of a part.
const ATTACHED: [Case; 17] = [
    Case {
        login: "postgres",
        sql: "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON tombolo.ledger FOR EACH ROW EXECUTE FUNCTION evil_trigger()",
        names: ["table tombolo.ledger", "trigger evil"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.columns ENABLE ROW LEVEL SECURITY; CREATE POLICY evil ON tombolo.columns USING (evil())",
        names: ["table tombolo.columns", "boss"],
    },
    Case {
        login: "postgres",
        sql: "CREATE POLICY evil ON tombolo.columns USING (evil())",
        names: ["table tombolo.columns", "policy evil"],
    },
    Case {
        login: "postgres",
        sql: "CREATE RULE evil AS ON INSERT TO tombolo.ledger DO ALSO SELECT evil()",
        names: ["table tombolo.ledger", "rule evil"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.ledger ADD CHECK (evil()) NOT VALID",
        names: ["table tombolo.ledger", "constraint"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.ledger ALTER done SET DEFAULT evil()",
        names: ["table tombolo.ledger", "column done"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.ledger ADD more boolean",
        names: ["table tombolo.ledger", "column more"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.columns DROP widened",
        names: ["table tombolo.columns", "column widened"],
    },
    Case {
        login: "postgres",
        sql: "CREATE DOMAIN evil AS boolean; ALTER TABLE tombolo.ledger ALTER done DROP DEFAULT, ALTER done TYPE evil;
              ALTER DOMAIN evil ADD CHECK (evil()) NOT VALID",
        names: ["table tombolo.ledger", "column done"],
    },
    Case {
        login: "postgres",
        sql: "CREATE FUNCTION evil_text(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
              CREATE INDEX evil ON tombolo.rejects (evil_text(reason))",
        names: ["table tombolo.rejects", "index evil"],
    },
    Case {
        login: "postgres",
        sql: "CREATE TABLE heir () INHERITS (tombolo.columns)",
        names: ["table tombolo.columns", "inherits"],
    },
    Case {
        login: "postgres",
        sql: "CREATE TABLE child (run text, table_name text, FOREIGN KEY (run, table_name) REFERENCES tombolo.ledger)",
        names: ["table tombolo.ledger", "foreign key"],
    },
    Case {
        login: "postgres",
        sql: "GRANT INSERT ON tombolo.columns TO mallory",
        names: ["table tombolo.columns", "INSERT is granted to mallory"],
    },
    Case {
        login: "postgres",
        sql: "GRANT UPDATE (origin) ON tombolo.columns TO PUBLIC",
        names: ["table tombolo.columns", "UPDATE of a column is granted to everybody"],
    },
    Case {
        login: "postgres",
        sql: "GRANT CREATE ON SCHEMA tombolo TO mallory",
        names: ["schema tombolo", "CREATE is granted to mallory"],
    },
    Case {
        login: "postgres",
        sql: "ALTER TABLE tombolo.ledger OWNER TO mallory",
        names: ["table tombolo.ledger", "mallory"],
    },
    Case {
        login: "postgres",
        sql: "ALTER SCHEMA tombolo OWNER TO mallory",
        names: ["schema tombolo", "mallory"],
    },
];

/// Before Tombolo made anything.
const FIRST: [Case; 4] = [
    Case {
        login: "mallory",
        sql: "CREATE SCHEMA tombolo",
        names: ["schema tombolo", "mallory"],
    },
    Case {
        login: "mallory",
        sql: "CREATE SCHEMA tombolo; GRANT USAGE ON SCHEMA tombolo TO PUBLIC;
              CREATE VIEW tombolo.columns AS SELECT x AS table_schema, x AS table_name, x AS column_name, x AS origin, x AS stored_as,
                true AS widened FROM evil_rows() x; GRANT SELECT ON tombolo.columns TO PUBLIC;
              CREATE VIEW tombolo.rejects AS SELECT x AS run, x AS table_name, 1::bigint AS row, x AS key, x AS reason, ''::bytea AS cells,
                now() AS rejected_at FROM evil_rows() x; GRANT SELECT ON tombolo.rejects TO PUBLIC",
        names: ["tombolo", "mallory"],
    },
    Case {
        login: "mallory",
        sql: "CREATE SCHEMA tombolo; GRANT USAGE ON SCHEMA tombolo TO PUBLIC;
              CREATE TABLE tombolo.columns (table_schema text, table_name text, column_name text, origin text, stored_as text, widened boolean);
              INSERT INTO tombolo.columns VALUES ('public', 't', 'name', 'x', 'text', true);
              ALTER TABLE tombolo.columns ENABLE ROW LEVEL SECURITY; ALTER TABLE tombolo.columns FORCE ROW LEVEL SECURITY;
              CREATE POLICY evil ON tombolo.columns USING (evil()); GRANT SELECT ON tombolo.columns TO PUBLIC;
              CREATE TABLE tombolo.ledger (run text); CREATE TABLE tombolo.rejects (run text);
              GRANT ALL ON ALL TABLES IN SCHEMA tombolo TO PUBLIC;
              CREATE TRIGGER evil BEFORE INSERT ON tombolo.ledger FOR EACH ROW EXECUTE FUNCTION evil_trigger()",
        names: ["tombolo", "mallory"],
    },
    Case {
        login: "mallory",
        sql: "CREATE SCHEMA tombolo; CREATE TABLE tombolo.ledger (run text PRIMARY KEY) PARTITION BY LIST (run)",
        names: ["tombolo", "mallory"],
    },
];

#[test]
fn nothing_on_the_own_tables_of_postgres_runs_as_who_pulls_or_shares() {
    let Some(server) = PrivateServer::start("") else {
        return;
    };
    server.run("postgres", "postgres", LOGINS);
    databases(&server, &["source", "target", "fresh"]);
    server.run(
        "postgres",
        "source",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    let site = Site::new();
    let url = |database: &str| server.url("boss", database);
    let share = site.share(&[&url("source")]);
    let transfer = |into: &str, more: &[&str]| {
        let share = site.share(&[&url("source")]);
        let all = [&["--into", into, "--strategy", "overwrite"], more].concat();
        site.pull(&share, &all)
    };
    transfer(&url("target"), &[]).expect_exit(0);

    for (number, case) in ATTACHED.into_iter().enumerate() {
        server.run(
            "postgres",
            "postgres",
            "CREATE DATABASE attached TEMPLATE target",
        );
        server.run(case.login, "attached", case.sql);
        let at = url("attached");
        let outcome = transfer(&at, &[]);
        let failure = outcome.failure();
        assert!(
            ["no-ledger", "database"].contains(&failure.code.as_str()),
            "{}: {failure:?}",
            case.sql
        );
        failure.names(&case.names).has_hint();
        let verbs = [
            &["rejects", "--json", &at][..],
            &["clean", "--json", &at],
            &["schema", "--json", &at, "t"],
        ];
        // All of them find the same; each case tries one.
        let outcome = site.run(verbs[number % verbs.len()]);
        refused(outcome, "no-ledger", &case.names);
        nothing_ran(&server, case.sql);
        assert_eq!(
            server.texts("attached", "SELECT count(*)::text FROM tombolo.ledger"),
            ["1"],
            "{}",
            case.sql
        );
        server.run("postgres", "postgres", "DROP DATABASE attached");
    }

    for case in FIRST {
        server.run(
            "postgres",
            "postgres",
            "CREATE DATABASE first TEMPLATE fresh",
        );
        server.run(
            "postgres",
            "postgres",
            "GRANT CREATE ON DATABASE first TO mallory",
        );
        server.run(case.login, "first", case.sql);
        let at = url("first");
        let failure = transfer(&at, &[]).failure();
        failure.names(&case.names).has_hint();
        // A database that is shared is read only, and its peer is told.
        let hostile = site.share(&[&at]);
        let outcome = site.pull(&hostile, &["--into", &site.path("copy.db")]);
        if !case.sql.contains("columns") {
            outcome.expect_exit(0);
        } else {
            outcome.failure();
            refused(
                site.run(&["schema", "--json", &at, "t"]),
                "no-ledger",
                &case.names,
            );
        }
        let compared = site.diff(&share, &["--with", &at]);
        assert_ne!(compared.status.code(), Some(2), "{compared:?}");
        for verb in ["tables", "rejects", "clean"] {
            site.run(&[verb, "--json", &at]);
        }
        site.run(&["count", "--json", &at, "t"]);
        nothing_ran(&server, case.sql);
        let writes = "SELECT count(*)::text FROM t";
        assert_eq!(server.texts("first", writes), ["0"], "{}", case.sql);
        server.run("postgres", "postgres", "DROP DATABASE first");
    }
}

#[test]
fn grants_by_default_are_withdrawn_from_new_own_tables_in_postgres() {
    let Some(server) = PrivateServer::start("") else {
        return;
    };
    server.run("postgres", "postgres", LOGINS);
    databases(&server, &["source", "target"]);
    server.run(
        "boss",
        "target",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, mallory; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO mallory",
    );
    let site = Site::new();
    for _ in 0..2 {
        site.transfer(
            &server.url("boss", "source"),
            &server.url("boss", "target"),
            &[],
        );
    }
}

#[test]
fn types_and_casts_of_other_logins_are_not_used_in_postgres() {
    let Some(server) = PrivateServer::start("") else {
        return;
    };
    server.run("postgres", "postgres", LOGINS);
    databases(&server, &["source", "target", "existing"]);
    server.run(
        "postgres",
        "source",
        "CREATE DOMAIN cents AS numeric; CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE typed (id integer PRIMARY KEY, d cents, e mood);
         INSERT INTO typed VALUES (1, 1.5, 'sad')",
    );
    let domain = "CREATE DOMAIN cents AS numeric CHECK (evil())";
    let kind = "CREATE TYPE mood AS ENUM ('sad'); CREATE FUNCTION evil_cast(text) RETURNS mood LANGUAGE plpgsql AS
        'BEGIN PERFORM evil(); RETURN NULL; END'; CREATE CAST (text AS mood) WITH FUNCTION evil_cast(text) AS ASSIGNMENT";
    let site = Site::new();
    let transfer = |database: &str| {
        let share = site.share(&[&server.url("boss", "source"), "--tables", "typed"]);
        site.pull(&share, &["--into", &server.url("boss", database)])
    };

    // A new table gets other types, or none.
    server.run("mallory", "target", domain);
    transfer("target").expect_exit(0);
    let made = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attname = 'd'";
    assert_eq!(server.texts("target", made), ["numeric"]);
    server.run(
        "postgres",
        "target",
        "DROP TABLE typed; DROP SCHEMA tombolo CASCADE; DROP TYPE mood",
    );
    server.run("mallory", "target", kind);
    transfer("target")
        .error("type-taken")
        .names(&["typed", "mood"])
        .has_hint();
    nothing_ran(&server, "a new table");

    // Mallory's cast to a type that a table has already.
    server.run("mallory", "existing", kind);
    server.run(
        "postgres",
        "existing",
        "CREATE TABLE typed (id integer PRIMARY KEY, d numeric, e mood)",
    );
    let failure = transfer("existing").failure();
    failure.names(&["typed", "evil_cast"]);
    nothing_ran(&server, "an existing table");
}

#[test]
fn policies_of_postgres_neither_run_nor_hide_rows() {
    let Some(server) = PrivateServer::start("") else {
        return;
    };
    server.run("postgres", "postgres", LOGINS);
    server.run("postgres", "postgres", "CREATE ROLE reader LOGIN");
    databases(&server, &["source"]);
    server.run(
        "mallory",
        "source",
        "CREATE TABLE filtered (id integer PRIMARY KEY); INSERT INTO filtered VALUES (1), (2);
         ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; CREATE POLICY evil ON filtered USING (id = 1 AND evil());
         GRANT SELECT ON filtered TO reader",
    );
    server.run("postgres", "source", "GRANT SELECT ON t TO reader");
    let site = Site::new();
    let pull = |login: &str| {
        let share = site.share(&[&server.url(login, "source"), "--tables", "filtered"]);
        site.pull(&share, &["--into", &site.path(&format!("{login}.db"))])
    };
    let failure = pull("reader").failure();
    failure.names(&["filtered", "policies"]);
    site.run(&["tables", &server.url("reader", "source")])
        .expect_exit(0);
    nothing_ran(&server, "a reader");
    assert_eq!(pull("boss").done().counts("filtered").created, 2);
    nothing_ran(&server, "a superuser");
}

#[test]
fn triggers_of_a_postgres_target_find_their_names_where_nobody_else_may_create() {
    let Some(server) = PrivateServer::start("") else {
        return;
    };
    server.run("postgres", "postgres", LOGINS);
    let trigger = "
        CREATE TABLE audit (name text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (lower(NEW.name)); RETURN NEW; END';
        CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();";
    let site = Site::new();
    for database in ["source", "safe", "open"] {
        server.run(
            "postgres",
            "postgres",
            &format!("CREATE DATABASE {database}"),
        );
        let table = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(9)); REVOKE CREATE ON SCHEMA public FROM PUBLIC;";
        server.run("postgres", database, table);
    }
    server.run("postgres", "source", "INSERT INTO t VALUES (1, 'A')");
    server.run("postgres", "safe", trigger);
    site.transfer(
        &server.url("boss", "source"),
        &server.url("boss", "safe"),
        &[],
    );
    assert_eq!(server.texts("safe", "SELECT name FROM audit"), ["a"]);

    // Mallory could have made another `lower`, and has.
    server.run(
        "postgres",
        "open",
        &format!("{trigger} GRANT CREATE ON SCHEMA public TO mallory;"),
    );
    server.run(
        "mallory",
        "open",
        "CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE plpgsql AS
           'BEGIN RAISE LOG ''evil runs''; EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN $1; END'",
    );
    let share = site.share(&[&server.url("boss", "source")]);
    let failure = site
        .pull(&share, &["--into", &server.url("boss", "open")])
        .error("database");
    failure.names(&["audit"]).has_hint();
    nothing_ran(&server, "a trigger");
    server.run(
        "postgres",
        "open",
        "ALTER FUNCTION note() SET search_path = pg_catalog, public",
    );
    server.run("postgres", "open", "DROP FUNCTION lower(varchar)");
    site.transfer(
        &server.url("boss", "source"),
        &server.url("boss", "open"),
        &[],
    );
    assert_eq!(server.texts("open", "SELECT name FROM audit"), ["a"]);
}
