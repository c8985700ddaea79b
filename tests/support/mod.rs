//! What the tests share: the binary, databases, comparisons, plugins and faulty peers.

pub mod any_database;
pub mod attackers;
pub mod cases;
pub mod corruption;
pub mod event_schema;
pub mod faulty_proxy;
pub mod frames;
pub mod generators;
pub mod guests;
pub mod http;
pub mod killable_server;
pub mod killed_transfer;
pub mod outcome;
pub mod postgres;
pub mod postgres_images;
pub mod postgres_types;
pub mod private_server;
pub mod random;
pub mod sample_tables;
pub mod scripted_site;
pub mod site;
pub mod sqlite;
pub mod statements;
pub mod table;
pub mod tampering_proxy;
pub mod terminal;
pub mod tokens;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::Runtime;

/// A password in the PostgreSQL addresses of the tests; no output may ever contain it.
pub const SECRET: &str = "never-shown-9f2c";

/// Runs a future to completion in a test that is not asynchronous.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::new().unwrap())
        .block_on(future)
}

/// Sets the permissions of a file or folder.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns the path of a file of the sample data beside the repository, or skips the test where that folder is absent.
///
/// Tests that call it have `kind` in their names, so that they can be counted.
pub fn shared_data(kind: &'static str, file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(file);
    if path.exists() {
        return Some(path);
    }
    skip(
        kind,
        "the folder ../shared/data with the sample databases is absent",
    );
    None
}

/// Prints once for each kind how many tests are skipped and why; the test harness does not capture the line.
pub fn skip(kind: &'static str, why: &str) {
    static PRINTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(
        name.contains(kind),
        "a test that needs {kind} and may be skipped must have it in its name: {name}"
    );
    if !PRINTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(kind)
    {
        return;
    }
    let list = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let count = String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|line| line.contains(kind))
        .count();
    let line = format!("\nSKIPPED: {count} end-to-end tests with {kind} in their name: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
