//! The folders for compiled components, which run natively, and for data, which holds secrets: other users can change
//! neither, and an unsafe one is not used.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::sample_tables::create_one_row;
use crate::support::set_mode;
use crate::support::site::{NOBODY, Running, Share, Site};

/// The command under a umask.
fn under_umask(umask: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Everything in a folder.
fn inside(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

fn create_folder(site: &Site, name: &str, mode: u32) -> String {
    let path = site.path(name);
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(&path).unwrap();
    set_mode(&path, mode);
    path
}

/// Starts a `share` with the folders `data` and `cache`.
fn share(site: &Site, umask: &str, cache: &str, source: &str) -> Share {
    let mut command = site.command(
        "share-data",
        &["share", "--json", "--listen", "127.0.0.1:0", source],
    );
    command.env("TOMBOLO_CACHE", cache);
    Share::start(under_umask(umask, &command))
}

/// Whether root runs the tests, who alone can give a file to somebody else.
fn is_root(site: &Site) -> bool {
    std::fs::metadata(site.path("")).unwrap().uid() == 0
}

#[test]
fn files_are_private_whatever_the_umask_is() {
    let (site, _, target) = Site::with_files();
    let source = create_one_row(&site, "source.db");
    let cache = create_folder(&site, "cache", 0o755);
    let (theirs, ours) = ("share-data", "pull-data");
    for data in [theirs, ours] {
        let folder = create_folder(&site, data, 0o755);
        let file = format!("{folder}/state.sqlite");
        std::fs::write(&file, "").unwrap();
        set_mode(&file, 0o644);
    }
    let share = share(&site, "002", &cache, &source);
    let arguments = ["pull", "--json", &share.url, &share.code, "--into", &target];
    let mut pull = site.command(ours, &arguments);
    pull.env("TOMBOLO_CACHE", &cache);
    let pull = Running::start(under_umask("002", &pull));
    pull.wait_for("done");
    let mut created = Vec::new();
    for folder in [&cache, &site.path(theirs), &site.path(ours)] {
        created.extend(inside(folder));
    }
    for name in ["state.sqlite", "components"] {
        assert!(
            created.iter().any(|path| path.ends_with(name)),
            "{name}: {created:?}"
        );
    }
    assert!(created.len() > 6, "{created:?}");
    for path in &created {
        assert_eq!(
            mode(path) & 0o077,
            0,
            "{}: {:o}",
            path.display(),
            mode(path)
        );
    }
    let pull = pull.wait().expect_exit(0);
    share.running.wait().expect_exit(0);
    assert!(!pull.stderr.contains("not cached"), "{pull:?}");
    assert_eq!(
        mode(&target),
        0o644,
        "a target is the user's, as SQLite and the umask make it"
    );

    // The next start finds the cache private, and uses it.
    let before = inside(&cache).len();
    let again = self::share(&site, "002", &cache, &source);
    again.running.signal("TERM");
    let again = again.running.wait();
    assert!(!again.stderr.contains("not cached"), "{again:?}");
    assert_eq!(inside(&cache).len(), before);
}

/// What is done to a folder, and the path that the message has to name.
type Harm = (&'static str, fn(&Path) -> PathBuf);

/// Ways in which another user can change, or could have changed, what is in a folder.
fn harms(root: bool) -> Vec<Harm> {
    let mut harms: Vec<Harm> = vec![
        ("a folder that its group can write to", |folder| {
            set_mode(folder, 0o775);
            folder.to_owned()
        }),
        ("a parent that others can write to", |folder| {
            let parent = folder.parent().unwrap();
            set_mode(parent, 0o777);
            parent.to_owned()
        }),
        ("a file inside that its group can write to", |folder| {
            let file = folder.join("deep/state.sqlite");
            std::fs::create_dir(folder.join("deep")).unwrap();
            set_mode(folder.join("deep"), 0o755);
            std::fs::write(&file, "planted").unwrap();
            set_mode(&file, 0o664);
            file
        }),
        ("a link inside that leads away", |folder| {
            let link = folder.join("modules");
            symlink("/tmp", &link).unwrap();
            link
        }),
        (
            "a link to a folder whose parent others can write to",
            |folder| {
                let open = folder.parent().unwrap().join("open");
                std::fs::create_dir(&open).unwrap();
                set_mode(&open, 0o777);
                std::fs::rename(folder, open.join("moved")).unwrap();
                symlink("open/moved", folder).unwrap();
                open
            },
        ),
    ];
    if root {
        harms.extend([
            (
                "a file of another user inside",
                (|folder| {
                    let file = folder.join("planted");
                    std::fs::write(&file, "planted").unwrap();
                    chown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
                    file
                }) as fn(&Path) -> PathBuf,
            ),
            ("a folder of another user", |folder| {
                chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
                folder.to_owned()
            }),
            ("a parent of another user", |folder| {
                let parent = folder.parent().unwrap();
                chown(parent, Some(NOBODY), Some(NOBODY)).unwrap();
                parent.to_owned()
            }),
            ("a link of another user in a sticky folder", |folder| {
                let parent = folder.parent().unwrap();
                std::fs::rename(folder, parent.join("moved")).unwrap();
                symlink("moved", folder).unwrap();
                std::os::unix::fs::lchown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
                set_mode(parent, 0o1777);
                folder.to_owned()
            }),
        ]);
    }
    harms
}

#[test]
fn an_unsafe_cache_is_not_used_and_a_warning_says_why() {
    let probe = Site::new();
    for (what, harm) in harms(is_root(&probe)) {
        let site = Site::new();
        let source = create_one_row(&site, "source.db");
        let cache = create_folder(&site, "above/cache", 0o755);
        let components = create_folder(&site, "above/cache/components", 0o700);
        let named = harm(Path::new(&components));
        // A plugin that is no file ends the command as soon as the cache is chosen.
        let plugin = format!("sessions=missing.wasm@sha256:{}", "0".repeat(64));
        let mut command = site.command("data", &["share", "--json", &source, "--plugin", &plugin]);
        command.env("TOMBOLO_CACHE", &cache);
        let outcome = Running::start(command).wait().expect_exit(1);
        let warning = outcome
            .stderr
            .lines()
            .find(|line| line.contains("not cached"));
        let warning = warning.unwrap_or_else(|| panic!("{what}: {outcome:?}"));
        let path = named.display().to_string();
        for part in ["WARN", &format!("{path} "), "delete ", "TOMBOLO_CACHE"] {
            assert!(
                warning.contains(part),
                "{what}: {part:?} is not in {warning}"
            );
        }
    }
}

#[test]
fn without_a_cache_everything_works_and_nothing_is_written_there() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let cache = create_folder(&site, "above/cache", 0o755);
    set_mode(site.path("above"), 0o777);
    let share = share(&site, "022", &cache, &source);
    share.running.signal("TERM");
    let outcome = share.running.wait();
    assert!(outcome.stderr.contains("not cached"), "{outcome:?}");
    let files: Vec<_> = inside(&cache)
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn an_unsafe_data_folder_is_refused_and_keeps_its_secrets() {
    let probe = Site::new();
    for (what, harm) in harms(is_root(&probe)) {
        let site = Site::new();
        let source = create_one_row(&site, "source.db");
        let data = create_folder(&site, "above/data", 0o755);
        let named = harm(Path::new(&data));
        let before = inside(&site.path("above")).len();
        let command = site.command("above/data", &["share", "--json", &source]);
        let failure = Running::start(command).wait().error("internal");
        let path = named.display().to_string();
        let failure = failure.names(&["secrets", &format!("{path} ")]);
        for part in ["delete ", "TOMBOLO_DATA"] {
            assert!(failure.hint.contains(part), "{what}: {failure:?}");
        }
        assert_eq!(
            inside(&site.path("above")).len(),
            before,
            "{what}: nothing is created"
        );
    }
}

#[test]
fn the_demo_works_whatever_the_umask_is_and_passes_its_code_in_private() {
    let site = Site::new();
    let demo = site.command("data", &["demo", "--json"]);
    let outcome = Running::start(under_umask("002", &demo))
        .wait()
        .expect_exit(0);
    let session = outcome.events_of("session").pop().unwrap();
    let code = session["code"].as_str().unwrap();
    let commands = outcome.events_of("command");
    assert_eq!(commands.len(), 2, "{outcome:?}");
    assert!(!format!("{commands:?}").contains(code), "{commands:?}");
}

#[test]
fn folders_below_a_sticky_one_are_used() {
    let (site, source, target) = Site::with_files();
    crate::support::sample_tables::create_numbers(&source, 1);
    let above = create_folder(&site, "above", 0o1777);
    let share = site.share(&[&source]);
    let arguments = ["pull", "--json", &share.url, &share.code, "--into", &target];
    let pull = site.command("above/data", &arguments);
    Running::start(pull).wait().done();
    assert_eq!(mode(format!("{above}/data")), 0o700);
    assert_eq!(mode(format!("{above}/data/state.sqlite")), 0o600);
}
