//! The address of a PostgreSQL database: what a URL says. Each of its parameters is honoured, or the URL is refused.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use url::{Host, Url};

use crate::database::quote;

/// How long a server may take to let a login in, if the URL says nothing else.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest time that a URL may set: PostgreSQL's own programs wait as long.
const SHORTEST_TIMEOUT: u64 = 2;

/// For a URL that sets no limit.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server calls the sessions, if the URL says nothing else.
const APPLICATION: &str = "tombolo";

/// The most characters of a parameter's name that are repeated.
const SHOWN_NAME: usize = 40;

/// Parameters that are handed to the driver as they are.
const HANDED_ON: [&str; 9] = [
    "host", "hostaddr", "port", "dbname", "user", "password", "sslcert", "sslkey", "options",
];

/// Parameters that have to say what is done anyway.
const AS_DONE: [(&str, &[&str]); 9] = [
    ("client_encoding", &["UTF8", "UTF-8", "unicode", "auto"]),
    ("target_session_attrs", &["any"]),
    ("load_balance_hosts", &["disable"]),
    ("gssencmode", &["disable", "prefer"]),
    ("channel_binding", &["disable", "prefer"]),
    ("sslnegotiation", &["postgres"]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
    ("replication", &["false", "off", "no", "0"]),
];

const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// Why a text is not the address of a PostgreSQL database. No value is repeated: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of this form.
    #[error(
        "a PostgreSQL URL has the form postgres://user@host:port/name; in its parts, write % @ : / ? # [ ] as \
         %25 %40 %3A %2F %3F %23 %5B %5D"
    )]
    Form,
    /// Several hosts or ports.
    #[error("the PostgreSQL URL names several hosts or ports: name one")]
    Hosts,
    /// A host and its address.
    #[error("the PostgreSQL URL has host and hostaddr: give one of them")]
    HostTwice,
    /// A parameter that nothing is known of.
    #[error("the PostgreSQL URL has the unknown parameter {0:?}: correct it, or leave it out")]
    Unknown(String),
    /// A parameter without a name that could be repeated.
    #[error(
        "the PostgreSQL URL has a part behind its ? that is not name=value; in a password, write ? as %3F"
    )]
    Nameless,
    /// A parameter occurs more than once.
    #[error("the PostgreSQL URL has the parameter {0:?} more than once")]
    Twice(String),
    /// The schema is given in more than one way.
    #[error(
        "the PostgreSQL URL has more than one of schema, currentSchema and search_path: give one"
    )]
    SchemaTwice,
    /// A value that is not supported.
    #[error("the PostgreSQL URL has a value of {name:?} that is not supported: use {allowed}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What may be used.
        allowed: String,
    },
}

/// What a URL says.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The URL with the parameters that the driver knows. It may contain a password.
    url: String,
    /// The setting `search_path` that the URL asks for.
    path: Option<String>,
    application: Option<String>,
    /// How long a server may take to let the login in.
    pub timeout: Duration,
}

impl Address {
    /// Reads a URL. Nothing is looked up.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let (text, login) = split_login(text)?;
        let text = text.as_str();
        let mut url = Url::parse(text).map_err(|_| malformed(text))?;
        let host = match url.host() {
            Some(Host::Ipv6(address)) => Some(address.to_string()),
            Some(Host::Domain(name)) if name.contains(',') => return Err(AddressError::Hosts),
            _ => None,
        };
        if url.fragment().is_some()
            || text.contains("%00")
            || !url.has_authority()
            || url.path().contains('@')
        {
            return Err(AddressError::Form);
        }
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let given: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.set_query(None);
        let mut address = Self {
            url: String::new(),
            path: None,
            application: None,
            timeout: CONNECT_TIMEOUT,
        };
        let mut fallback = None;
        let mut driver: Vec<(&str, &str)> = Vec::new();
        if let Some((user, password)) = &login {
            driver.push(("user", user));
            driver.extend(password.as_deref().map(|password| ("password", password)));
        }
        // Without the brackets that only a URL has.
        driver.extend(host.as_deref().map(|host| ("host", host)));
        for (number, (name, value)) in given.iter().enumerate() {
            let earlier = given.iter().take(number);
            if earlier.into_iter().any(|(other, _)| other == name) {
                return Err(AddressError::Twice(shown(name)?));
            }
            match name.as_str() {
                "sslmode" => {
                    let known = SSL_MODES.contains(&value.as_str());
                    driver.push(("sslmode", known_value(known, value, "sslmode", &SSL_MODES)?));
                }
                "sslrootcert" => match value.as_str() {
                    "" | "system" => {
                        return Err(unsupported(
                            "sslrootcert",
                            "the path of a file with certificates",
                        ));
                    }
                    file => driver.push(("sslrootcert", file)),
                },
                "schema" => address.set_path(quote(non_empty("schema", value)?))?,
                "currentSchema" => {
                    address.set_path(non_empty("currentSchema", value)?.to_owned())?;
                }
                "search_path" => address.set_path(non_empty("search_path", value)?.to_owned())?,
                "application_name" => address.application = Some(value.clone()),
                "fallback_application_name" => fallback = Some(value.clone()),
                "connect_timeout" => address.timeout = timeout(value)?,
                name => match (
                    HANDED_ON.iter().find(|known| **known == name),
                    AS_DONE.iter().find(|(known, _)| *known == name),
                ) {
                    (Some(known), _) => driver.push((known, value)),
                    (None, Some((known, allowed))) => {
                        let same = allowed.iter().any(|one| one.eq_ignore_ascii_case(value));
                        known_value(same, value, known, allowed)?;
                    }
                    (None, None) => return Err(AddressError::Unknown(shown(name)?)),
                },
            }
        }
        address.application = address.application.or(fallback);
        check_hosts(&driver, has_host)?;
        if !driver.is_empty() {
            url.query_pairs_mut().extend_pairs(driver);
        }
        address.url = url.into();
        Ok(address)
    }

    fn set_path(&mut self, path: String) -> Result<(), AddressError> {
        match self.path.replace(path) {
            None => Ok(()),
            Some(_) => Err(AddressError::SchemaTwice),
        }
    }

    /// Returns the setting `search_path` that the URL asks for.
    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Returns what the driver needs, with what the environment and the file of passwords add.
    pub(super) fn options(&self) -> Result<PgConnectOptions, AddressError> {
        let options = PgConnectOptions::from_str(&self.url).map_err(|_| AddressError::Form)?;
        // Without a cache no statement outlives the staging it was prepared for. A pooler takes few settings before it
        // lets a login in, and this one is set afterwards.
        let options = options
            .statement_cache_capacity(0)
            .disable_statement_logging()
            .extra_float_digits(None);
        Ok(match (&self.application, options.get_application_name()) {
            (Some(name), _) => options.application_name(name),
            (None, None) => options.application_name(APPLICATION),
            (None, Some(_)) => options,
        })
    }
}

/// Returns host, port and name, never the login.
pub(super) fn place(options: &PgConnectOptions) -> Arc<str> {
    let name = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    let port = options.get_port();
    let place = match options.get_socket() {
        Some(socket) => format!("{}:{port}/{name}", socket.display()),
        None => match options.get_host().to_lowercase() {
            host if host.contains(':') => format!("[{host}]:{port}/{name}"),
            host => format!("{host}:{port}/{name}"),
        },
    };
    place.into()
}

/// A user and a password.
type Login = (String, Option<String>);

/// Takes the login out of a URL that has one and no host, which PostgreSQL allows and other URLs do not.
fn split_login(text: &str) -> Result<(String, Option<Login>), AddressError> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressError::Form)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let Some(login) = authority.strip_suffix('@') else {
        return Ok((text.to_owned(), None));
    };
    let decode = |part: &str| {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
        decoded
            .map(|part| part.into_owned())
            .map_err(|_| AddressError::Form)
    };
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (decode(user)?, Some(decode(password)?)),
        None => (decode(login)?, None),
    };
    Ok((format!("{scheme}://{behind}"), Some((user, password))))
}

/// What is wrong with a text that is no URL.
fn malformed(text: &str) -> AddressError {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    match hosts.contains(',') {
        true => AddressError::Hosts,
        false => AddressError::Form,
    }
}

fn check_hosts(driver: &[(&str, &str)], has_host: bool) -> Result<(), AddressError> {
    let of = |wanted: &str| driver.iter().rfind(|(name, _)| *name == wanted);
    let several = ["host", "hostaddr", "port"].into_iter().filter_map(of);
    if several.into_iter().any(|(_, value)| value.contains(',')) {
        return Err(AddressError::Hosts);
    }
    if of("hostaddr").is_some() && (of("host").is_some() || has_host) {
        return Err(AddressError::HostTwice);
    }
    Ok(())
}

fn non_empty<'a>(name: &'static str, value: &'a str) -> Result<&'a str, AddressError> {
    match value.trim().is_empty() {
        false => Ok(value),
        true => Err(unsupported(name, "the name of a schema")),
    }
}

fn known_value<'a>(
    known: bool,
    value: &'a str,
    name: &'static str,
    allowed: &[&str],
) -> Result<&'a str, AddressError> {
    match known {
        true => Ok(value),
        false => Err(unsupported(name, &allowed.join(", "))),
    }
}

fn unsupported(name: &'static str, allowed: &str) -> AddressError {
    AddressError::Value {
        name,
        allowed: allowed.to_owned(),
    }
}

/// Seconds; 0 and less are no limit.
fn timeout(value: &str) -> Result<Duration, AddressError> {
    let seconds: i32 = value
        .trim()
        .parse()
        .map_err(|_| unsupported("connect_timeout", "a number of seconds"))?;
    Ok(match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Duration::from_secs(seconds.max(SHORTEST_TIMEOUT)),
        _ => UNLIMITED,
    })
}

/// Returns a parameter's name if it looks like one: it may be the end of a password.
fn shown(name: &str) -> Result<String, AddressError> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    match !name.is_empty() && name.len() <= SHOWN_NAME && name.chars().all(is_name) {
        true => Ok(name.to_owned()),
        false => Err(AddressError::Nameless),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn options(url: &str) -> PgConnectOptions {
        Address::parse(url).unwrap().options().unwrap()
    }

    fn error(url: &str) -> AddressError {
        Address::parse(url).unwrap_err()
    }

    #[test]
    fn hosts_are_names_addresses_and_folders() {
        for (url, host, port) in [
            ("postgres://u@db.example/x", "db.example", 5432),
            ("postgres://u@127.0.0.1:5433/x", "127.0.0.1", 5433),
            ("postgres://u@[::1]:5433/x", "::1", 5433),
            ("postgres://u@[2001:db8::7]/x", "2001:db8::7", 5432),
            ("postgres://u@/x?host=::1&port=7", "::1", 7),
            ("postgres:///x?hostaddr=::1&user=u", "::1", 5432),
        ] {
            let options = options(url);
            assert_eq!(
                (options.get_host(), options.get_port()),
                (host, port),
                "{url}"
            );
        }
        for url in [
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/x",
            "postgres:///x?host=/var/run/postgresql&user=u",
        ] {
            let socket = options(url).get_socket().cloned().unwrap();
            assert_eq!(socket.to_str().unwrap(), "/var/run/postgresql", "{url}");
        }
        assert_eq!(
            &*place(&options("postgres://u@[::1]:5433/x")),
            "[::1]:5433/x"
        );
    }

    #[test]
    fn parts_are_decoded() {
        let options = options("postgresql://a%40b:p%2F%3Aw@h/shop%20%C3%A9?application_name=a%20b");
        assert_eq!(options.get_username(), "a@b");
        assert_eq!(options.get_database(), Some("shop é"));
        assert_eq!(options.get_application_name(), Some("a b"));
        assert_eq!(
            super::Address::parse("postgres://h/x")
                .unwrap()
                .options()
                .unwrap()
                .get_application_name(),
            Some(APPLICATION)
        );
    }

    #[test]
    fn schemas_are_a_path() {
        for (url, path) in [
            ("postgres://u@h/x", None),
            ("postgres://u@h/x?schema=My%20App", Some("\"My App\"")),
            ("postgres://u@h/x?schema=a,b", Some("\"a,b\"")),
            (
                "postgres://u@h/x?currentSchema=app,public",
                Some("app,public"),
            ),
            ("postgres://u@h/x?search_path=app", Some("app")),
        ] {
            assert_eq!(Address::parse(url).unwrap().path(), path, "{url}");
        }
    }

    #[test]
    fn times_and_what_is_done_anyway_are_taken() {
        let timeout = |value: &str| {
            Address::parse(&format!("postgres://h/x?connect_timeout={value}"))
                .map(|one| one.timeout)
        };
        assert_eq!(timeout("30"), Ok(Duration::from_secs(30)));
        assert_eq!(timeout("1"), Ok(Duration::from_secs(2)));
        assert_eq!(timeout("0"), Ok(UNLIMITED));
        assert!(timeout("soon").is_err());
        for query in [
            "client_encoding=utf8",
            "target_session_attrs=any",
            "gssencmode=prefer",
            "sslmode=verify-full",
        ] {
            assert!(
                Address::parse(&format!("postgres://h/x?{query}")).is_ok(),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_not_honoured_is_refused_and_no_value_is_repeated() {
        for query in [
            "shema=app",
            "pgbouncer=true",
            "keepalives=1",
            "service=x",
            "passfile=x",
            "ssl-mode=require",
            "sslmode=no-verify",
            "target_session_attrs=read-write",
            "client_encoding=LATIN1",
            "schema=",
            "schema=a&currentSchema=b",
            "sslmode=require&sslmode=disable",
            "sslrootcert=system",
            "host=a,b",
            "port=1,2",
            "hostaddr=::1",
            "gssencmode=require",
            "options[search_path]=x",
            "Schema=app",
        ] {
            let error = error(&format!("postgres://u:never-shown@h/x?{query}"));
            assert!(
                !error.to_string().contains("never-shown"),
                "{query}: {error}"
            );
        }
        assert_eq!(
            error("postgres://u@h/x?shema=app"),
            AddressError::Unknown("shema".to_owned())
        );
        assert_eq!(error("postgres://a,b/x"), AddressError::Hosts);
        assert_eq!(error("postgres://a:1,b:2/x"), AddressError::Hosts);
        // Parts of passwords that were not encoded.
        for url in [
            "postgres://u:never?shown@h/x",
            "postgres://u:1?never-shown@h/x",
            "postgres://u:1#never-shown@h/x",
            "postgres://u:n/never-shown@h/x",
            "postgres://u:1/never-shown@h/x",
        ] {
            let shown = Address::parse(url).and_then(|one| one.options().map(|_| ()));
            assert!(
                !format!("{shown:?}").contains("never-shown"),
                "{url}: {shown:?}"
            );
        }
        for url in [
            "postgres://u@h/%00",
            "postgres://[::1/x",
            "postgres:x",
            "postgres://u@h:port/x",
        ] {
            assert_eq!(error(url), AddressError::Form, "{url}");
        }
    }
}
