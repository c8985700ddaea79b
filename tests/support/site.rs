//! The folder of a test, and the real binary run in it with time limits and with its output in every panic.

use std::fmt;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::outcome::{Outcome, Report, parse, show};
use super::{SECRET, set_mode};

/// The longest time that any process may take, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// The id of `nobody` on most systems; an id without a login works as well.
pub const NOBODY: u32 = 65_534;

/// The folder of a test with its databases and the data folders of its sites; removed at the end.
pub struct Site {
    folder: TempDir,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tombolo-test-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .unwrap();
        Self { folder }
    }

    /// A folder with the paths of two files, `source.db` and `target.db`, that do not exist yet.
    pub fn with_files() -> (Self, String, String) {
        let site = Self::new();
        let (source, target) = (site.path("source.db"), site.path("target.db"));
        (site, source, target)
    }

    /// A path in the folder, as an argument.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The binary with arguments and without the environment's settings; `data` names its data folder.
    pub fn command(&self, data: &str, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_tombolo"), data, arguments)
    }

    /// The same with every frame as a chunk of its own.
    pub fn command_with_small_chunks(&self, data: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(data, arguments);
        command.env("TOMBOLO_CHUNK_ROWS", "1");
        command
    }

    /// The same with another copy of the binary.
    fn command_of(&self, binary: &str, data: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOMBOLO_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("TOMBOLO_DATA", self.folder.path().join(data))
            .env("TOMBOLO_CACHE", cache())
            .current_dir(self.folder.path());
        command
    }

    /// The binary as a user who owns only a data folder, because permissions do not limit root.
    pub fn command_of_nobody(&self, arguments: &[&str]) -> Command {
        let (inside, data) = (self.path(""), self.path("data-of-nobody"));
        let binary = copy_of_binary(&inside);
        std::fs::create_dir(&data).unwrap();
        let mut command = self.command_of(&binary, "data-of-nobody", arguments);
        if std::fs::metadata(&inside).unwrap().uid() == 0 {
            set_mode(&inside, 0o755);
            chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the binary until it ends.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Running::start(self.command("pull-data", arguments)).wait()
    }

    /// Starts `share` on a free port and waits until its code is printed.
    pub fn share(&self, arguments: &[&str]) -> Share {
        let mut all = vec!["share", "--json", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        Share::start(self.command("share-data", &all))
    }

    /// Runs a pull from a share until it ends.
    pub fn pull(&self, share: &Share, arguments: &[&str]) -> Outcome {
        self.pull_from(&share.url, &share.code, arguments)
    }

    /// Runs a pull from an address with a code until it ends.
    pub fn pull_from(&self, url: &str, code: &str, arguments: &[&str]) -> Outcome {
        self.start_pull(url, code, arguments).wait()
    }

    /// Starts a pull.
    pub fn start_pull(&self, url: &str, code: &str, arguments: &[&str]) -> Running {
        Running::start(self.command("pull-data", &pull_arguments(url, code, arguments)))
    }

    /// Starts a pull that commits every frame as a chunk.
    pub fn start_pull_with_small_chunks(
        &self,
        url: &str,
        code: &str,
        arguments: &[&str],
    ) -> Running {
        let all = pull_arguments(url, code, arguments);
        Running::start(self.command_with_small_chunks("pull-data", &all))
    }

    /// Compares what a share offers with a database.
    pub fn diff(&self, share: &Share, arguments: &[&str]) -> Outcome {
        let mut all = vec!["diff", "--json", &share.url, &share.code];
        all.extend(arguments);
        self.run(&all)
    }

    /// Returns the `rejected` events of the rows that a database rejected.
    pub fn rejects(&self, database: &str) -> Vec<Value> {
        let listed = self.run(&["rejects", "--json", database]).expect_exit(0);
        listed.events_of("rejected")
    }

    /// Shares one database and pulls it into another; both processes succeed.
    pub fn transfer(&self, source: &str, target: &str, arguments: &[&str]) -> Report {
        let share = self.share(&[source]);
        let mut all = vec!["--into", target];
        all.extend(arguments);
        let report = self.pull(&share, &all).done();
        share.running.wait().expect_exit(0);
        report
    }
}

/// The folder of compiled components that all tests share, so that plugins are compiled once. It is in the target folder,
/// if nobody else can write there or to a folder above; anywhere else, nothing would be cached.
fn cache() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let me = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
        let private = |folder: &Path| {
            let found = std::fs::metadata(folder).unwrap();
            [0, me].contains(&found.uid()) && found.mode() & 0o022 == 0
        };
        if target.ancestors().all(private) {
            target.join("cache")
        } else {
            std::env::temp_dir().join(format!("tombolo-test-cache-{me}"))
        }
    })
}

fn pull_arguments<'a>(url: &'a str, code: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["pull", "--json", url, code], arguments].concat()
}

/// A running `share` with its code.
pub struct Share {
    pub code: String,
    pub url: String,
    pub running: Running,
}

impl Share {
    /// Starts a `share` command and waits for its first event.
    pub fn start(command: Command) -> Self {
        let running = Running::start(command);
        let session = running.wait_for("session");
        assert_eq!(running.events().first(), Some(&session), "{running:?}");
        let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
        let (code, url) = (text("code"), text("url"));
        assert!(
            !code.is_empty() && url.starts_with("http://127.0.0.1:"),
            "{running:?}"
        );
        assert!(session["expires_at"].is_string(), "{running:?}");
        Self { code, url, running }
    }
}

#[derive(Default)]
struct Output {
    stdout: Vec<String>,
    stderr: String,
    ended: bool,
}

/// A child process; killed when dropped.
pub struct Running {
    command: String,
    child: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a command without any input.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_with_input(command)
    }

    /// Starts a command whose input is set already.
    pub fn start_with_input(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new((Mutex::new(Output::default()), Condvar::new()));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let shared = Arc::clone(&output);
        let out = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                shared.0.lock().unwrap().stdout.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().ended = true;
            shared.1.notify_all();
        });
        let shared = Arc::clone(&output);
        let error = std::thread::spawn(move || {
            let (mut stderr, mut buffer) = (stderr, [0; 4096]);
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                shared.0.lock().unwrap().stderr.push_str(&text);
            }
        });
        Self {
            command: format!("{command:?}"),
            child,
            output,
            readers: vec![out, error],
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        parse(&self.output.0.lock().unwrap().stdout)
    }

    /// Whether its output so far contains a text.
    pub fn has_printed(&self, text: &str) -> bool {
        let output = self.output.0.lock().unwrap();
        output.stdout.iter().any(|line| line.contains(text)) || output.stderr.contains(text)
    }

    /// Its output so far.
    pub fn printed(&self) -> String {
        self.output.0.lock().unwrap().stdout.join("\n")
    }

    /// Waits for the first event of a kind.
    pub fn wait_for(&self, event: &str) -> Value {
        self.wait_until(|found| found["event"] == event)
            .unwrap_or_else(|| panic!("no event {event:?} from {self:?}"))
    }

    /// Waits for the first event that matches; returns `None` when the output ends or the time limit is reached.
    pub fn wait_until(&self, mut wanted: impl FnMut(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + LIMIT;
        let (output, changed) = &*self.output;
        let mut guard = output.lock().unwrap();
        loop {
            if let Some(found) = parse(&guard.stdout).into_iter().find(|event| wanted(event)) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if guard.ended || left.is_zero() {
                return None;
            }
            guard = changed.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Its end of the pipe that its input is, if it is one.
    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success(), "kill -s {name} of {self:?}");
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends.
    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => panic!("still running after {LIMIT:?}: {self:?}"),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let output = std::mem::take(&mut *self.output.0.lock().unwrap());
        let outcome = Outcome {
            command: self.command.clone(),
            status,
            stdout: output.stdout,
            stderr: output.stderr,
        };
        for text in outcome.stdout.iter().chain([&outcome.stderr]) {
            assert!(!text.contains(SECRET), "a password was shown: {outcome:?}");
        }
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = self.output.0.lock().unwrap();
        show(
            formatter,
            &self.command,
            "running",
            &output.stdout,
            &output.stderr,
        )
    }
}

/// Copies the binary to a folder that every user may read, and returns its path.
fn copy_of_binary(folder: &str) -> String {
    let copy = PathBuf::from(folder).join("tombolo");
    let original = env!("CARGO_BIN_EXE_tombolo");
    if std::fs::hard_link(original, &copy).is_err() {
        std::fs::copy(original, &copy).unwrap();
    }
    copy.to_str().unwrap().to_owned()
}
