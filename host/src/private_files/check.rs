//! The check of a folder: the owner and the mode of everything in it, and of every folder and link on the way to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::NotPrivate;

/// The most symbolic links on the way to a folder, as in Linux.
const MAX_LINKS: usize = 40;

/// The most files and folders that are looked at in a folder: more than the cache of compiled components keeps.
const MAX_ENTRIES: usize = 100_000;

/// The permission bits with which others than the owner can write.
const OTHERS_WRITE: u32 = 0o022;

/// In such a folder, only its owner and the owner of an entry can rename and remove the entry.
const STICKY: u32 = 0o1000;

/// As [`super::check`].
pub(super) fn check(folder: &Path) -> Result<PathBuf, NotPrivate> {
    let me = rustix::process::geteuid().as_raw();
    let real = follow(folder, me)?;
    look_inside(&real, me)?;
    Ok(real)
}

/// Follows a path as the system does, looks at every folder and link on the way, and returns the real path.
fn follow(folder: &Path, me: u32) -> Result<PathBuf, NotPrivate> {
    let absolute = std::path::absolute(folder).map_err(|error| failed(folder, error))?;
    let mut left: VecDeque<OsString> = names(&absolute).collect();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    check_parent(&real, &metadata(&real)?, me)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let found = metadata(&next)?;
        if !found.is_symlink() {
            check_parent(&next, &found, me)?;
            real = next;
            continue;
        }
        check_owner(&next, &found, me)?;
        links += 1;
        if links > MAX_LINKS {
            let error = io::Error::other(format!("more than {MAX_LINKS} links lead to it"));
            return Err(failed(folder, error));
        }
        let target = std::fs::read_link(&next).map_err(|error| failed(&next, error))?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(name);
        }
    }
    let found = metadata(&real)?;
    if !found.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(failed(&real, error));
    }
    check_owner(&real, &found, me)?;
    check_mode(&real, &found)?;
    Ok(real)
}

/// Looks at everything in a folder. Links are not followed, and refused.
fn look_inside(folder: &Path, me: u32) -> Result<(), NotPrivate> {
    let mut seen = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let entries = match std::fs::read_dir(&inner) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(failed(&inner, error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| failed(&inner, error))?.path();
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(NotPrivate::TooMany {
                    path: folder.to_owned(),
                    limit: MAX_ENTRIES,
                });
            }
            let found = match std::fs::symlink_metadata(&path) {
                Ok(found) => found,
                // Another process of this user removed it.
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(failed(&path, error)),
            };
            check_owner(&path, &found, me)?;
            if !found.is_dir() && !found.is_file() {
                return Err(NotPrivate::Kind { path });
            }
            check_mode(&path, &found)?;
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// A folder on the way: what is behind it is looked at as well, so one in which others can create only their own entries
/// is fine.
fn check_parent(path: &Path, found: &Metadata, me: u32) -> Result<(), NotPrivate> {
    check_owner(path, found, me)?;
    if found.mode() & STICKY != 0 {
        return Ok(());
    }
    check_mode(path, found)
}

fn check_owner(path: &Path, found: &Metadata, me: u32) -> Result<(), NotPrivate> {
    let owner = found.uid();
    // Root can do everything anyway.
    if owner == me || owner == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(NotPrivate::Owner { path, owner })
}

fn check_mode(path: &Path, found: &Metadata) -> Result<(), NotPrivate> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(NotPrivate::Writable { path, mode })
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn metadata(path: &Path) -> Result<Metadata, NotPrivate> {
    std::fs::symlink_metadata(path).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> NotPrivate {
    NotPrivate::Io {
        path: path.to_owned(),
        error,
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
