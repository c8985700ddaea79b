//! Copies one state of a database to another file.

use std::fs::File;
use std::io;
use std::path::Path;

use sqlx::SqliteConnection;

use crate::database::DatabaseError;
use crate::database::sqlite::error::refused;

#[cfg(unix)]
pub use self::steps::in_steps;

/// Why a file cannot be copied.
pub enum CopyError {
    /// The file cannot be read, or the copy cannot be written.
    Io(io::Error),
    /// The database cannot be locked or copied.
    Database(DatabaseError),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Copies the database under one lock.
pub async fn at_once(connection: &mut SqliteConnection, to: &Path) -> Result<(), CopyError> {
    let path = to
        .to_str()
        .ok_or_else(|| io::Error::other("its name is not valid UTF-8"))?;
    // SQLite writes into an empty file, and would make one that others can read.
    private_file(to)?;
    let copied = sqlx::query("VACUUM INTO ?").bind(path.to_owned());
    let copied = copied.execute(connection).await;
    copied
        .map(|_| ())
        .map_err(|error| CopyError::Database(refused(&error)))
}

/// Copies a file that nobody writes.
pub async fn whole(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let copying = tokio::task::spawn_blocking(move || {
        let mut copy = private_file(&to)?;
        io::copy(&mut File::open(from)?, &mut copy)
    });
    copying.await.map_err(io::Error::other)?.map(|_| ())
}

/// Makes an empty file that only its owner can read and write, whatever the umask.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

#[cfg(unix)]
mod steps {
    use std::fs::File;
    use std::io::{self, Write as _};
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use sqlx::SqliteConnection;

    use super::{CopyError, private_file};
    use crate::database::sqlite::error::refused;

    /// How long the shared lock is held at a time: a writer waits for one step, not for the whole copy. A write between two
    /// steps starts the copy again with longer steps. The last one has no limit, so that frequent writes cannot prevent
    /// the copy.
    const STEPS: [Duration; 6] = [
        Duration::from_millis(50),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::from_millis(400),
        Duration::MAX,
    ];

    /// How long writers can get the lock between two steps.
    const PAUSE: Duration = Duration::from_millis(5);

    /// Bytes that are copied between two checks of the time.
    const PIECE: usize = 1 << 20;

    /// Identifies a state of a file: its header, which counts the changes, and its length.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct State {
        header: [u8; 100],
        length: u64,
    }

    impl State {
        fn of(file: &File) -> io::Result<Self> {
            let mut header = [0; 100];
            let length = file.metadata()?.len();
            // A database without tables may be an empty file.
            if length > 0 {
                file.read_exact_at(&mut header, 0)?;
            }
            Ok(Self { header, length })
        }
    }

    /// Copies one state of a file, which the connection has open, through a handle of the file. A writer is locked out for
    /// short times only.
    pub async fn in_steps(
        connection: &mut SqliteConnection,
        file: &Arc<File>,
        to: &Path,
    ) -> Result<(), CopyError> {
        for step in STEPS {
            let copy = Arc::new(private_file(to)?);
            let (mut done, mut state) = (0, None);
            loop {
                // What is read under this lock is committed and complete.
                execute(connection, "BEGIN").await?;
                execute(connection, "SELECT count(*) FROM sqlite_schema").await?;
                let now = State::of(file)?;
                let same = *state.get_or_insert(now) == now;
                if same {
                    done = piecewise(file, &copy, done, now.length, step).await?;
                }
                execute(connection, "COMMIT").await?;
                if done == now.length {
                    return Ok(());
                }
                if !same {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        // The last step copied the whole file.
        Ok(())
    }

    /// Copies from a position on, for the time of a step, on a thread that may block. Returns the new position.
    async fn piecewise(
        file: &Arc<File>,
        copy: &Arc<File>,
        from: u64,
        to: u64,
        step: Duration,
    ) -> io::Result<u64> {
        let (file, copy) = (Arc::clone(file), Arc::clone(copy));
        let copying = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let mut buffer = vec![0; PIECE];
            let mut at = from;
            while at < to && began.elapsed() < step {
                let wanted = usize::try_from(to - at).map_or(PIECE, |rest| rest.min(PIECE));
                let piece = buffer.get_mut(..wanted).unwrap_or_default();
                file.read_exact_at(piece, at)?;
                (&*copy).write_all(piece)?;
                at += wanted as u64;
            }
            Ok(at)
        });
        copying.await.map_err(io::Error::other)?
    }

    async fn execute(
        connection: &mut SqliteConnection,
        sql: &'static str,
    ) -> Result<(), CopyError> {
        let executed = sqlx::query(sql).execute(connection).await;
        executed
            .map(|_| ())
            .map_err(|error| CopyError::Database(refused(&error)))
    }
}
