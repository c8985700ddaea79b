//! Where a database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::postgres::{AddressError, PostgresDatabase};

/// The address of a database as people write it: `shop.db`, `sqlite:shop.db`, `postgres://user@host/name`.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A SQLite file whose URL says what may be done with it.
    SqliteUrl(PathBuf, FileMode),
    /// A PostgreSQL URL. It may contain a password and is never printed as it is.
    Postgres(String),
}

/// What the URL of a SQLite file allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// `mode=ro`: nothing is written.
    ReadOnly,
    /// `mode=rw`: a missing file is not created.
    Existing,
}

/// Why a text is not the address of a database.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A URL of another kind of database.
    #[error(
        "unsupported database URL scheme {0:?}: use postgres:// or a SQLite file; for a file with such a name, put ./ before it"
    )]
    Scheme(String),
    /// Not quite a PostgreSQL URL. The text is not repeated, because it may contain a password.
    #[error(
        "a PostgreSQL URL begins with postgres:// and has this form: postgres://user@host/name"
    )]
    Postgres,
    /// A PostgreSQL URL with something that is not supported.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The text is empty.
    #[error("the address of the database is empty: use postgres:// or a SQLite file")]
    Empty,
    /// A SQLite database without a file.
    #[error("a SQLite database in memory ends with its process: name a file")]
    Memory,
    /// A parameter of a SQLite URL.
    #[error(
        "the SQLite URL has a parameter that is not supported: use mode=ro, mode=rw or mode=rwc, or name the file without a URL"
    )]
    Parameter,
    /// A URL that means one file to some programs and another one to others.
    #[error(
        "{0:?} is the absolute path of a file to some programs and a relative one to others: write sqlite:NAME for a file in this folder, or sqlite:////NAME for an absolute path"
    )]
    Ambiguous(String),
    /// The URL names a file of another machine.
    #[error("the URL names a file on another machine: use file:///PATH")]
    Host,
    /// The URL is not encoded as URLs are.
    #[error(
        "the URL of the file has a % that is not the beginning of a character such as %20, or characters that are not UTF-8"
    )]
    Encoding,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PostgresDatabase::check_url(text)?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        if is_conninfo(text) {
            return Err(LocationError::Postgres);
        }
        match scheme(text) {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "sqlite" | "sqlite3" => sqlite_url(text, rest),
                "file" => file_url(rest),
                "postgres" | "postgresql" => Err(LocationError::Postgres),
                _ => Err(LocationError::Scheme(scheme.to_owned())),
            },
            None if text == ":memory:" => Err(LocationError::Memory),
            None if text.is_empty() => Err(LocationError::Empty),
            None => Ok(Self::Sqlite(text.into())),
        }
    }
}

/// Returns the scheme of a URL and what follows it. One letter is a drive, and a path may contain colons.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut characters = scheme.chars();
    let is_scheme = characters.next()?.is_ascii_alphabetic()
        && scheme.len() > 1
        && characters.all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one));
    // `shop.db:backup` is a file.
    let is_name = scheme.contains('.') && !rest.starts_with("//");
    (is_scheme && !is_name).then_some((scheme, rest))
}

/// Whether a text is a PostgreSQL connection string of names and values: taken for a file, a message would repeat its
/// password.
fn is_conninfo(text: &str) -> bool {
    let first = text.trim_start().split('=').next().unwrap_or_default();
    let names = [
        "host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "service",
    ];
    text.contains('=') && names.contains(&first.trim_end())
}

/// `sqlite:NAME`, `sqlite://NAME`, and absolute paths behind any number of slashes.
fn sqlite_url(text: &str, rest: &str) -> Result<Location, LocationError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if rest.starts_with("///") && !rest.starts_with("////") {
        let name = path.trim_start_matches('/');
        let name = name.split('?').next().unwrap_or_default();
        if !name.contains('/') {
            return Err(LocationError::Ambiguous(text.to_owned()));
        }
    }
    let path = match path.strip_prefix("//") {
        Some(absolute) => format!("/{absolute}"),
        None => path.to_owned(),
    };
    file(&path)
}

/// `file:NAME` and `file:///PATH`, as SQLite and RFC 8089 read them.
fn file_url(rest: &str) -> Result<Location, LocationError> {
    let Some(authority) = rest.strip_prefix("//") else {
        return file(rest);
    };
    let (host, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    match host {
        "" | "localhost" => file(path),
        _ => Err(LocationError::Host),
    }
}

/// A path with parameters, encoded as in URLs.
fn file(text: &str) -> Result<Location, LocationError> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if path.contains('#') {
        return Err(LocationError::Encoding);
    }
    let path = decode(path)?;
    let mut mode = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        mode = match (&*name, &*value, mode) {
            ("mode", "memory", _) => return Err(LocationError::Memory),
            ("mode", "ro", None) => Some(Some(FileMode::ReadOnly)),
            ("mode", "rw", None) => Some(Some(FileMode::Existing)),
            ("mode", "rwc", None) => Some(None),
            // What SQLite does anyway.
            ("cache", "private", mode) => mode,
            _ => return Err(LocationError::Parameter),
        };
    }
    match (path.as_str(), mode.flatten()) {
        ("", _) => Err(LocationError::Empty),
        (":memory:", _) => Err(LocationError::Memory),
        (_, Some(mode)) => Ok(Location::SqliteUrl(path.into(), mode)),
        (_, None) => Ok(Location::Sqlite(path.into())),
    }
}

fn decode(path: &str) -> Result<String, LocationError> {
    let mut parts = path.split('%');
    parts.next();
    let encoded = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !parts.all(encoded) {
        return Err(LocationError::Encoding);
    }
    let decoded = percent_decode_str(path).decode_utf8();
    let decoded = decoded.map_err(|_| LocationError::Encoding)?;
    match decoded.contains('\0') {
        true => Err(LocationError::Encoding),
        false => Ok(decoded.into_owned()),
    }
}

/// Prints the address for people, without a password.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) | Self::SqliteUrl(path, _) => {
                write!(formatter, "{}", path.display())
            }
            Self::Postgres(url) => match url::Url::parse(url) {
                Ok(mut parsed) => {
                    let _ = parsed.set_password(None);
                    parsed.set_query(None);
                    write!(formatter, "{parsed}")
                }
                Err(_) => formatter.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, file) in [
            ("shop.db", "shop.db"),
            ("./sqlite:shop.db", "./sqlite:shop.db"),
            ("shop.db:backup", "shop.db:backup"),
            ("backup 12:30.db", "backup 12:30.db"),
            ("12:30.db", "12:30.db"),
            ("a%20b.db", "a%20b.db"),
            ("sqlite:shop.db", "shop.db"),
            ("sqlite3:shop.db", "shop.db"),
            ("SQLite:shop.db", "shop.db"),
            ("sqlite://shop.db", "shop.db"),
            ("sqlite://data/shop.db", "data/shop.db"),
            ("sqlite:./data/shop.db", "./data/shop.db"),
            ("sqlite:/data/shop.db", "/data/shop.db"),
            ("sqlite:///data/shop.db", "/data/shop.db"),
            ("sqlite:////data/shop.db", "/data/shop.db"),
            ("sqlite:////shop.db", "/shop.db"),
            ("sqlite:my%20shop.db?mode=rwc", "my shop.db"),
            ("file:shop.db", "shop.db"),
            ("file:./shop.db", "./shop.db"),
            ("file:/data/shop.db", "/data/shop.db"),
            ("file:///shop.db", "/shop.db"),
            (
                "file://localhost/data/shop.db?mode=rwc&cache=private",
                "/data/shop.db",
            ),
        ] {
            assert_eq!(text.parse(), Ok(Location::Sqlite(file.into())), "{text}");
        }
        for (text, mode) in [
            ("file:shop.db?mode=ro", FileMode::ReadOnly),
            ("sqlite://shop.db?mode=rw", FileMode::Existing),
        ] {
            let expected = Location::SqliteUrl("shop.db".into(), mode);
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_means_something_else_is_no_file() {
        use LocationError::{
            Ambiguous, Empty, Encoding, Host, Memory, Parameter, Postgres, Scheme,
        };
        for (text, error) in [
            ("mysql://a/b", Scheme("mysql".to_owned())),
            ("sqlite4:shop.db", Scheme("sqlite4".to_owned())),
            ("jdbc:sqlite:shop.db", Scheme("jdbc".to_owned())),
            (
                "sqlite+aiosqlite:///shop.db",
                Scheme("sqlite+aiosqlite".to_owned()),
            ),
            (
                "postgresql+psycopg2://h/x",
                Scheme("postgresql+psycopg2".to_owned()),
            ),
            ("sqlite:", Empty),
            ("sqlite://", Empty),
            ("file:", Empty),
            ("", Empty),
            (":memory:", Memory),
            ("sqlite::memory:", Memory),
            ("sqlite://:memory:", Memory),
            ("file::memory:?cache=shared", Parameter),
            ("file:shop.db?mode=memory", Memory),
            ("file:shop.db?mode=rx", Parameter),
            ("file:shop.db?immutable=1", Parameter),
            ("file:shop.db?mode=ro&mode=rwc", Parameter),
            ("sqlite:shop.db?connection_limit=1", Parameter),
            (
                "sqlite:///shop.db",
                Ambiguous("sqlite:///shop.db".to_owned()),
            ),
            ("file://server/shop.db", Host),
            ("file:100%.db", Encoding),
            ("file:a%00b", Encoding),
            ("file:%ff", Encoding),
            ("file:a#b", Encoding),
            ("host=localhost dbname=shop password=x", Postgres),
            ("dbname = shop", Postgres),
        ] {
            assert_eq!(text.parse::<Location>(), Err(error), "{text}");
        }
        // Taken for a file, a message would repeat the password.
        for text in [
            "postgres:ana:secret@host/shop",
            "PostgreSQL:/ana:secret@host/shop",
        ] {
            assert_eq!(text.parse::<Location>(), Err(LocationError::Postgres));
        }
        assert!("postgres://h/x?shema=app".parse::<Location>().is_err());
    }

    #[test]
    fn never_shows_a_password() {
        let location: Location = "postgres://ana:secret@127.0.0.1/shop?password=hidden"
            .parse()
            .unwrap();
        let shown = format!("{location} {location:?}");
        assert!(shown.contains("ana@127.0.0.1/shop"));
        assert!(
            !shown.contains("secret") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
