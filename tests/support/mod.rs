//! What all tests share: the binary, databases, comparison, plugins and broken peers.

pub mod compare;
pub mod corruption;
pub mod faulty_proxy;
pub mod generators;
pub mod guests;
pub mod killable_server;
pub mod killed_transfer;
pub mod outcome;
pub mod peer;
pub mod postgres;
pub mod postgres_images;
pub mod postgres_types;
pub mod random;
pub mod sample_tables;
pub mod site;
pub mod sqlite;

use std::collections::BTreeSet;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::Runtime;

/// A password that stands in every PostgreSQL address of the tests; no output may ever contain it.
pub const SECRET: &str = "never-shown-9f2c";

/// Waits for what is asynchronous in a test that is not.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::new().unwrap())
        .block_on(future)
}

/// A file of the sample data beside the repository; none where that folder is absent, which is said.
///
/// Tests that ask for it carry `kind` in their names, so that they can be counted.
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

/// Says once a kind, past the test harness's capture, how many tests are skipped and why.
pub fn skip(kind: &'static str, why: &str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(
        name.contains(kind),
        "a test that may be skipped for want of {kind} has to say so in its name: {name}"
    );
    if !SAID
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
