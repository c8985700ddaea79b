//! PgBouncer between Tombolo and PostgreSQL: a session of its own works, shared sessions are refused and left as they were.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tombolo_test_postgres::Instance;

use crate::support::private_server::PrivateServer;
use crate::support::site::{NOBODY, Site};
use crate::support::{SECRET, block_on, set_mode, skip};

/// A running PgBouncer; ended when dropped.
struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts one before a server; none without PgBouncer.
    fn start(server: &PrivateServer, settings: &str) -> Option<Self> {
        let path = [
            "/usr/sbin/pgbouncer",
            "/usr/bin/pgbouncer",
            "/usr/local/bin/pgbouncer",
        ];
        let Some(program) = path
            .into_iter()
            .find(|path| std::fs::exists(path).unwrap_or(false))
        else {
            skip("pgbouncer", "there is no PgBouncer");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        let (ini, users) = (
            folder.path().join("pgbouncer.ini"),
            folder.path().join("users.txt"),
        );
        let port = Instance::free_port().unwrap();
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{settings}\n",
            server.port(),
            users.display()
        );
        std::fs::write(&ini, configuration).unwrap();
        std::fs::write(&users, format!("\"boss\" \"{SECRET}\"\n")).unwrap();
        let mut command = Command::new(program);
        command
            .arg(&ini)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if std::fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        {
            // It does not run as root.
            std::os::unix::process::CommandExt::uid(&mut command, NOBODY);
        }
        let process = command.spawn().unwrap();
        let pooler = Self {
            process,
            port,
            _folder: folder,
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "PgBouncer does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(pooler)
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://boss:{SECRET}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the text that a query selects through a pooler, which takes few settings.
fn text(url: &str, sql: &str) -> String {
    let options = PgConnectOptions::from_str(url)
        .unwrap()
        .extra_float_digits(None);
    block_on(async {
        let mut connection = options.connect().await.unwrap();
        let row = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await;
        row.unwrap().get(0)
    })
}

fn server() -> Option<PrivateServer> {
    let server = PrivateServer::start("-c max_connections=60")?;
    server.run("postgres", "postgres", "CREATE ROLE boss LOGIN SUPERUSER");
    for database in ["source", "target"] {
        server.run(
            "postgres",
            "postgres",
            &format!("CREATE DATABASE {database}"),
        );
    }
    server.run(
        "postgres",
        "source",
        "CREATE TABLE t (id integer PRIMARY KEY, f float8, pad text);
         INSERT INTO t SELECT i, i / 7.0, repeat('x', 50) FROM generate_series(1, 3000) i;
         CREATE TABLE u (id integer PRIMARY KEY); INSERT INTO u VALUES (1)",
    );
    Some(server)
}

#[test]
fn pgbouncer_of_postgres_with_a_session_for_each_client_works() {
    let Some(server) = server() else { return };
    for settings in [
        "",
        "pool_mode = session\nignore_startup_parameters = extra_float_digits,options",
        "pool_mode = session\ndefault_pool_size = 3",
    ] {
        let Some(pooler) = Pooler::start(&server, settings) else {
            return;
        };
        let site = Site::new();
        let (source, target) = (pooler.url("source"), pooler.url("target"));
        for strategy in ["skip", "overwrite"] {
            let report = site.transfer(
                &source,
                &target,
                &["--strategy", strategy, "--jobs", "2", "--yes"],
            );
            assert_eq!(report.tables(), ["t", "u"], "{settings}");
            server.run("postgres", "target", "UPDATE t SET f = 1.5 WHERE id < 9");
        }
        let same = "SELECT count(*)::text FROM t WHERE f = 1.5";
        assert_eq!(server.texts("target", same), ["8"], "{settings}");
        server.run(
            "postgres",
            "target",
            "DROP TABLE t, u; DROP SCHEMA tombolo CASCADE",
        );
    }
}

#[test]
fn pgbouncer_of_postgres_that_shares_sessions_is_refused_and_left_as_it_was() {
    let Some(server) = server() else { return };
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\nignore_startup_parameters = extra_float_digits,options",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = 5",
        "pool_mode = statement",
    ] {
        let Some(pooler) = Pooler::start(&server, settings) else {
            return;
        };
        let (site, url) = (Site::new(), pooler.url("source"));
        for arguments in [
            ["tables", "--json", &url].as_slice(),
            &["share", "--json", "--listen", "127.0.0.1:0", &url],
        ] {
            site.run(arguments)
                .error("unreachable")
                .names(&["transaction", "pool_mode"])
                .has_hint();
        }
        // Other applications get these sessions.
        let sql = "SELECT pg_catalog.concat(pg_catalog.current_setting('search_path'), pg_catalog.current_setting('default_transaction_read_only'))";
        assert_eq!(text(&url, sql), "\"$user\", publicoff", "{settings}");
    }
}

#[test]
fn pgbouncer_of_postgres_names_the_setting_that_it_refuses() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(&server, "") else {
        return;
    };
    let site = Site::new();
    let url = format!("{}?options=-c%20geqo=off", pooler.url("source"));
    site.run(&["tables", "--json", &url])
        .error("unreachable")
        .names(&["options"]);
}
