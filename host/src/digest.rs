//! SHA-256 digests and random identifiers.

use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 digest of some bytes.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Returns so many random bytes from the operating system.
pub fn random(length: usize) -> std::io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    SysRng
        .try_fill_bytes(&mut data)
        .map_err(std::io::Error::other)?;
    Ok(data)
}

/// Returns a random identifier of 128 bits: 32 hexadecimal digits.
pub fn random_id() -> std::io::Result<String> {
    Ok(hex::encode(random(16)?))
}
