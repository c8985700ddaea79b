//! Tells the same file by other names: links, other paths, other mounts.

use std::fs::Metadata;
use std::path::Path;

/// What Linux calls this start of the machine, also in containers: it tells files of other machines with the same
/// numbers.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Returns bytes that are the same for the same file on this machine.
pub fn of(file: &Path, metadata: &Metadata) -> Vec<u8> {
    let mut place = b"sqlite:".to_vec();
    place.extend(std::fs::read(BOOT).unwrap_or_default());
    place.extend(number(file, metadata));
    place
}

#[cfg(unix)]
fn number(_: &Path, metadata: &Metadata) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt as _;
    format!("{}:{}", metadata.dev(), metadata.ino()).into_bytes()
}

#[cfg(not(unix))]
fn number(file: &Path, _: &Metadata) -> Vec<u8> {
    file.as_os_str().as_encoded_bytes().to_vec()
}
