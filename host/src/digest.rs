//! SHA-256, random bytes, and their hexadecimal form.

use std::fmt::Write as _;

use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(data: &[u8]) -> String {
    data.iter()
        .fold(String::with_capacity(data.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Random bytes from the operating system.
pub fn random(length: usize) -> std::io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    SysRng
        .try_fill_bytes(&mut data)
        .map_err(std::io::Error::other)?;
    Ok(data)
}

/// A random identifier of 128 bits.
pub fn random_id() -> std::io::Result<String> {
    Ok(hex(&random(16)?))
}
