//! Codes and passwords stand neither in the list of processes nor in a log: the ways to give them that are not arguments.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::http::{claim, token};
use crate::support::outcome::Counts;
use crate::support::sample_tables::create_one_row;
use crate::support::site::{Running, Share, Site};
use crate::support::sqlite::Sqlite;
use crate::support::{SECRET, set_mode, skip};

/// The arguments of a process as every user of the machine can see them.
fn visible_arguments(process: &Running) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
        // Until the program has started, there are none.
        if !arguments.is_empty() {
            return String::from_utf8_lossy(&arguments).replace('\0', " ");
        }
        assert!(Instant::now() < deadline, "{process:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a command with a pipe as its input.
fn with_pipe(mut command: Command) -> Running {
    command.stdin(Stdio::piped());
    Running::start_with_input(command)
}

fn shared(site: &Site) -> Share {
    site.share(&[&create_one_row(site, "source.db")])
}

#[test]
fn a_code_comes_from_standard_input() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    let arguments = ["pull", "--json", &share.url, "--into", &target];
    let mut pull = with_pipe(site.command("pull-data", &arguments));
    let mut input = pull.input();
    let shown = visible_arguments(&pull);
    assert!(
        shown.contains("pull") && !shown.contains(&share.code),
        "{shown}"
    );
    // A line is enough: the input may stay open, and what follows is not for this question.
    input
        .write_all(format!(" {} \r\nno\n", share.code.to_lowercase()).as_bytes())
        .unwrap();
    pull.wait_for("done");
    assert_eq!(pull.wait().done().counts("t"), Counts::created(1));
    drop(input);
}

#[test]
fn a_code_comes_from_the_environment_and_tables_stand_behind_a_hyphen() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    let diff = |arguments: &[&str]| {
        let mut all = vec!["diff", "--json", &share.url];
        all.extend(arguments);
        let mut command = site.command("pull-data", &all);
        command.env("TOMBOLO_CODE", &share.code);
        Running::start(command).wait()
    };
    Sqlite::script(
        &target,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
    );
    diff(&["--with", &target]).expect_exit(3);
    diff(&["-", "t", "--with", &target]).expect_exit(3);
    diff(&["-", "other", "--with", &target]).error("no-such-table");

    // The environment comes before standard input.
    let arguments = ["pull", "--json", &share.url, "-", "t", "--into", &target];
    let mut command = site.command("pull-data", &arguments);
    command.env("TOMBOLO_CODE", &share.code);
    let mut pull = with_pipe(command);
    drop(pull.input().write_all(b"22222222\n"));
    assert_eq!(pull.wait().done().counts("t"), Counts::created(1));
}

#[test]
fn a_code_on_the_command_line_comes_first() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    let arguments = ["pull", "--json", &share.url, &share.code, "--into", &target];
    let mut command = site.command("pull-data", &arguments);
    command.env("TOMBOLO_CODE", "22222222");
    Running::start(command).wait().done();
}

#[test]
fn without_a_code_nothing_is_done() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    for input in ["", "\n", "  \nA7X9K2M4\n"] {
        for arguments in [
            &["pull", "--json", &share.url, "--into", &target] as &[&str],
            &["pull", "--json", &share.url, "-", "--into", &target],
        ] {
            let mut command = site.command("pull-data", arguments);
            command.env("TOMBOLO_CODE", " ");
            let mut pull = with_pipe(command);
            drop(pull.input().write_all(input.as_bytes()));
            let failure = pull.wait().error("bad-request").names(&["code"]);
            assert!(failure.hint.contains("TOMBOLO_CODE"), "{failure:?}");
        }
    }
    // An endless line is no code.
    let mut pull = with_pipe(site.command(
        "pull-data",
        &["pull", "--json", &share.url, "--into", &target],
    ));
    let mut input = pull.input();
    let endless = std::thread::spawn(move || while input.write_all(&[b'a'; 4_096]).is_ok() {});
    pull.wait().error("bad-request");
    endless.join().unwrap();
    assert!(!std::fs::exists(&target).unwrap());
    assert!(!std::fs::exists(site.path("pull-data")).unwrap());
    token(&claim(&share.url, &share.code, "nobody was before"));
}

#[test]
fn a_signal_ends_the_question() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    let mut pull = with_pipe(site.command(
        "pull-data",
        &["pull", "--json", &share.url, "--into", &target],
    ));
    let _open = pull.input();
    std::thread::sleep(Duration::from_millis(300));
    pull.signal("TERM");
    pull.wait().error("cancelled");
}

#[test]
fn a_person_at_a_terminal_is_asked_for_the_code() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    let pull = site.command("pull-data", &["pull", &share.url, "--into", &target]);
    let words: Vec<_> = std::iter::once(pull.get_program())
        .chain(pull.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script
        .args(["-qec", &words.join(" "), "/dev/null"])
        .env("TOMBOLO_DATA", site.path("pull-data"))
        .env_remove("TOMBOLO_CODE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let Ok(mut script) = script.spawn() else {
        skip("terminal", "the program `script` is absent");
        return;
    };
    let mut output = script.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut buffer = [0; 1_024];
    while !shown.windows(5).any(|part| part == b"Code:") {
        let read = output.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&shown));
        shown.extend(&buffer[..read]);
    }
    let mut input = script.stdin.take().unwrap();
    input
        .write_all(format!("{}\n", share.code).as_bytes())
        .unwrap();
    output.read_to_end(&mut shown).unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(script.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("1 row"), "{shown}");
    assert_eq!(Sqlite::open(&target).number("SELECT count(*) FROM t"), 1);
}

#[test]
fn no_printed_command_has_the_code() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let share =
        Running::start(site.command("data", &["share", &source, "--listen", "127.0.0.1:0"]));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !share.has_printed("--into copy.db") {
        assert!(Instant::now() < deadline, "{share:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    share.signal("TERM");
    let outcome = share.wait();
    let text = outcome.stdout.join("\n");
    let (_, behind) = text.split_once("Code ").unwrap();
    let code = &behind[..9];
    let command = outcome
        .stdout
        .iter()
        .find(|line| line.contains("tombolo pull"));
    let command = command.unwrap_or_else(|| panic!("{outcome:?}"));
    assert!(
        !command.contains(code) && text.matches(code).count() == 1,
        "{text}"
    );
}

/// A server that asks for a password as PostgreSQL does, and returns the one that comes.
fn asks_for_password() -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        loop {
            let start = read_message(&mut socket);
            // A request for TLS; what follows a refusal is the start without it.
            if start == 80_877_103_u32.to_be_bytes() {
                socket.write_all(b"N").unwrap();
                continue;
            }
            break;
        }
        socket.write_all(b"R\0\0\0\x08\0\0\0\x03").unwrap();
        let mut kind = [0];
        match socket.read_exact(&mut kind) {
            Ok(()) => {
                assert_eq!(&kind, b"p");
                let password = String::from_utf8(read_message(&mut socket)).unwrap();
                password.trim_end_matches('\0').to_owned()
            }
            Err(_) => String::new(),
        }
    });
    (port, server)
}

/// The body of a message of PostgreSQL's protocol, from its length on.
fn read_message(socket: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
    let mut body = vec![0; length - 4];
    socket.read_exact(&mut body).unwrap();
    body
}

/// Lists the tables of a database whose password is given by `prepare`, which gets the port and a file's path. Returns the
/// password that came, and what was logged.
fn password_given_by(prepare: impl FnOnce(&mut Command, u16, &str)) -> (String, String) {
    let site = Site::new();
    let (port, server) = asks_for_password();
    let url = format!("postgres://ana@127.0.0.1:{port}/shop");
    let mut command = site.command("data", &["tables", "--json", &url]);
    command.env("HOME", site.path(""));
    for name in ["PGPASSWORD", "PGPASSFILE"] {
        command.env_remove(name);
    }
    prepare(&mut command, port, &site.path(".pgpass"));
    let process = Running::start(command);
    let shown = visible_arguments(&process);
    assert!(!shown.contains(SECRET), "{shown}");
    // That no output has the password is checked for every process.
    let outcome = process.wait();
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    (server.join().unwrap(), outcome.stderr)
}

fn write_passwords(file: &str, port: u16, mode: u32) {
    std::fs::write(file, format!("127.0.0.1:{port}:shop:ana:{SECRET}\n")).unwrap();
    set_mode(file, mode);
}

#[test]
fn a_database_password_comes_from_the_environment() {
    let (came, _) = password_given_by(|command, _, _| {
        command.env("PGPASSWORD", SECRET);
    });
    assert_eq!(came, SECRET);
}

#[test]
fn a_database_password_comes_from_a_file() {
    let (came, _) = password_given_by(|_, port, file| write_passwords(file, port, 0o600));
    assert_eq!(came, SECRET);
    let (came, _) = password_given_by(|command, port, file| {
        let other = format!("{file}-of-another-name");
        write_passwords(&other, port, 0o600);
        command.env("PGPASSFILE", other);
    });
    assert_eq!(came, SECRET);
}

#[test]
fn a_file_with_passwords_that_others_can_read_is_ignored_with_a_warning() {
    let (came, logged) = password_given_by(|_, port, file| write_passwords(file, port, 0o644));
    assert_ne!(came, SECRET);
    assert!(
        logged.contains("WARN") && logged.contains(".pgpass"),
        "{logged}"
    );
}

#[test]
fn no_log_has_a_secret() {
    let site = Site::new();
    let share = shared(&site);
    let target = site.path("target.db");
    Sqlite::script(
        &target,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
    );
    let mut command = site.command(
        "pull-data",
        &["diff", "--json", &share.url, "--with", &target],
    );
    let logs = "debug,tombolo=trace,hyper=trace,hyper_util=trace,sqlx=trace,cranelift=off,wasmtime=off,regalloc2=off";
    command
        .env("TOMBOLO_CODE", &share.code)
        .env("RUST_LOG", logs);
    let pull = Running::start(command).wait().expect_exit(3);
    assert!(pull.stderr.len() > 1_000, "{pull:?}");
    assert!(!pull.stderr.contains(&share.code), "{}", pull.stderr);
    let mut state = Sqlite::open(&site.path("pull-data/state.sqlite"));
    let values = state.rows("SELECT CAST(value AS TEXT) FROM state");
    let secrets: Vec<String> = values
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|value| value.split('"').map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| word.len() >= 32 && word.chars().all(char::is_alphanumeric))
        .collect();
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(
            !pull.stderr.contains(&secret),
            "{secret} in {}",
            pull.stderr
        );
    }

    // Nor the value of a parameter that is not known.
    let url = format!("postgres://ana@127.0.0.1:1/shop?sslpassword={SECRET}");
    let mut command = site.command("data", &["tables", "--json", &url]);
    command.env("RUST_LOG", "trace");
    // That it shows no password is checked for every process.
    let outcome = Running::start(command).wait().expect_exit(2);
    assert_eq!(outcome.events_of("error")[0]["code"], "bad-request");
}
