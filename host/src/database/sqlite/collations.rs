//! Collations that only the application of a database has.
#![allow(
    unsafe_code,
    reason = "SQLite's C interface: sqlx can add collations whose names are known, but not those that a file turns out to need"
)]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::cmp::Ordering;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use libsqlite3_sys as ffi;

use super::raw::{RawConnection, RawError};

/// The collations that SQLite has.
const BUILT_IN: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

/// Returns true if every SQLite has a collation.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Compares texts by their bytes where a collation is unknown. Only for connections that do not write: an index in another
/// order would be damaged.
pub fn stand_in(connection: &RawConnection<'_>) -> Result<(), RawError> {
    // SAFETY: the handle is open, and only we use it while `connection` lives. The function has no state, and lives as long
    // as the program.
    let code = unsafe {
        ffi::sqlite3_collation_needed(connection.handle(), ptr::null_mut(), Some(add_collation))
    };
    connection.check(code)
}

unsafe extern "C" fn add_collation(
    _: *mut c_void,
    handle: *mut ffi::sqlite3,
    _: c_int,
    name: *const c_char,
) {
    // SAFETY: SQLite calls this with its own open handle and a name that ends with a NUL. If it fails, the collation stays
    // unknown.
    unsafe {
        ffi::sqlite3_create_collation_v2(
            handle,
            name,
            ffi::SQLITE_UTF8,
            ptr::null_mut(),
            Some(compare_bytes),
            None,
        );
    }
}

unsafe extern "C" fn compare_bytes(
    _: *mut c_void,
    left_length: c_int,
    left: *const c_void,
    right_length: c_int,
    right: *const c_void,
) -> c_int {
    // SAFETY: SQLite gives two texts with their lengths in bytes.
    let (left, right) = unsafe { (bytes(left, left_length), bytes(right, right_length)) };
    match left.cmp(right) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

/// Returns the bytes of a text; none of an empty one, which may have no place.
///
/// # Safety
///
/// `text` is null or has `length` bytes, which do not change while `'a` lasts.
unsafe fn bytes<'a>(text: *const c_void, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: as the caller promises.
        Ok(length) if !text.is_null() => unsafe { std::slice::from_raw_parts(text.cast(), length) },
        _ => &[],
    }
}
