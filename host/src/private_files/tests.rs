//! Folders and files with the owners and modes of attackers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// The id of another user, who need not exist.
const STRANGER: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Gives a file to another user; false if only root may, and this user is not root.
fn give_away(path: &Path) -> bool {
    chown(path, Some(STRANGER), None).is_ok()
}

/// A folder with a file in a folder, and its path.
fn folder() -> (TempDir, PathBuf) {
    let base = create_temporary_folder("tombolo-").unwrap();
    let path = base.path().canonicalize().unwrap().join("own");
    create_folder(&path.join("inner")).unwrap();
    let file = path.join("inner/file");
    fs::write(&file, "compiled").unwrap();
    set_mode(&file, 0o644);
    (base, path)
}

#[test]
fn a_folder_of_our_own_is_private_and_its_real_path_is_returned() {
    let (base, path) = folder();
    assert_eq!(check(&path).unwrap(), path);
    for created in [&path, &path.join("inner")] {
        assert_eq!(mode(created), 0o700);
    }
    // Others may read a folder that existed, and a link of our own may lead to it.
    set_mode(&path, 0o755);
    let link = base.path().join("link");
    symlink("own/inner/..", &link).unwrap();
    assert_eq!(check(&link).unwrap(), path);
    assert_eq!(check(&base.path().join("link/inner/..")).unwrap(), path);
}

#[test]
fn whatever_others_can_write_to_is_named() {
    for (inner, mode) in [
        ("", 0o775),
        ("", 0o757),
        ("", 0o1777),
        ("inner", 0o770),
        ("inner", 0o1777),
        ("inner/file", 0o664),
        ("inner/file", 0o602),
    ] {
        let (_base, path) = folder();
        let open = path.join(inner).components().collect::<PathBuf>();
        set_mode(&open, mode);
        let error = check(&path).unwrap_err();
        assert!(
            matches!(&error, NotPrivate::Writable { path, mode: found } if *path == open && *found == mode),
            "{inner} {mode:o}: {error}"
        );
        let hint = error.hint(&path, "TOMBOLO_CACHE");
        assert!(
            hint.contains("delete") && hint.contains("TOMBOLO_CACHE"),
            "{hint}"
        );
    }
}

#[test]
fn a_parent_that_others_can_write_to_is_named_unless_it_is_sticky() {
    let (base, path) = folder();
    let parent = path.parent().unwrap();
    for mode in [0o777, 0o720] {
        set_mode(parent, mode);
        let error = check(&path).unwrap_err();
        assert!(
            matches!(&error, NotPrivate::Writable { path, .. } if path == parent),
            "{error}"
        );
        let hint = error.hint(&path, "TOMBOLO_DATA");
        assert!(
            hint.contains(&format!("chmod go-w {}", parent.display())),
            "{hint}"
        );
    }
    set_mode(parent, 0o1777);
    assert!(check(&path).is_ok());
    drop(base);
}

#[test]
fn what_belongs_to_another_user_is_named() {
    for inner in ["", "inner", "inner/file"] {
        let (_base, path) = folder();
        let foreign = path.join(inner).components().collect::<PathBuf>();
        if !give_away(&foreign) {
            return;
        }
        let error = check(&path).unwrap_err();
        assert!(
            matches!(&error, NotPrivate::Owner { path, owner: STRANGER } if *path == foreign),
            "{inner}: {error}"
        );
    }
    let (base, path) = folder();
    let parent = base.path().canonicalize().unwrap();
    assert!(give_away(&parent));
    let error = check(&path).unwrap_err();
    assert!(
        matches!(&error, NotPrivate::Owner { path, .. } if *path == parent),
        "{error}"
    );
}

#[test]
fn a_link_of_another_user_is_not_followed() {
    let (base, path) = folder();
    set_mode(base.path(), 0o1777);
    let link = base.path().canonicalize().unwrap().join("link");
    symlink(&path, &link).unwrap();
    assert!(check(&link).is_ok());
    if std::os::unix::fs::lchown(&link, Some(STRANGER), None).is_err() {
        return;
    }
    let error = check(&link.join("inner")).unwrap_err();
    assert!(
        matches!(&error, NotPrivate::Owner { path, .. } if *path == link),
        "{error}"
    );
}

#[test]
fn where_a_link_leads_to_is_looked_at() {
    let (base, path) = folder();
    let parent = base.path().canonicalize().unwrap();
    let elsewhere = create_temporary_folder("tombolo-").unwrap();
    let link = elsewhere.path().join("link");
    symlink(&path, &link).unwrap();
    set_mode(&parent, 0o777);
    let error = check(&link).unwrap_err();
    assert!(
        matches!(&error, NotPrivate::Writable { path, .. } if *path == parent),
        "{error}"
    );

    set_mode(&parent, 0o700);
    let circle = elsewhere.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(matches!(check(&circle), Err(NotPrivate::Io { .. })));
    assert!(matches!(
        check(&elsewhere.path().join("missing")),
        Err(NotPrivate::Io { .. })
    ));
    assert!(matches!(
        check(&path.join("inner/file")),
        Err(NotPrivate::Io { .. })
    ));
}

#[test]
fn a_link_inside_is_refused() {
    let (_base, path) = folder();
    let link = path.join("inner/link");
    symlink("/etc", &link).unwrap();
    let error = check(&path).unwrap_err();
    assert!(
        matches!(&error, NotPrivate::Kind { path } if *path == link),
        "{error}"
    );
}

#[test]
fn a_database_and_the_files_beside_it_are_for_their_owner() {
    let base = tempfile::tempdir().unwrap();
    let database = base.path().join("state.sqlite");
    make_database_private(&database).unwrap();
    assert_eq!(mode(&database), 0o600);
    fs::write(&database, "kept").unwrap();
    let log = base.path().join("state.sqlite-wal");
    fs::write(&log, "").unwrap();
    for path in [&database, &log] {
        set_mode(path, 0o644);
    }
    make_database_private(&database).unwrap();
    assert_eq!((mode(&database), mode(&log)), (0o600, 0o600));
    assert_eq!(fs::read(&database).unwrap(), b"kept");
}
