//! Error codes: one closed list for the host, the standard engine and the documentation. Names for hints.

mod nearest;

use std::fmt;
use std::str::FromStr;

pub use nearest::nearest;

/// Declares the enum, its list and its texts from one table.
macro_rules! error_codes {
    ($($variant:ident = $code:literal, $meaning:literal;)+) => {
        /// Why an operation failed, for programs.
        ///
        /// The text form ([`Self::as_str`]) is what every client and every peer sees. Codes are added, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl ErrorCode {
            /// All codes, sorted by their text form.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the text form: lower-case words with hyphens.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// Returns what the code means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

error_codes! {
    AlreadyUsed = "already-used",
        "Somebody else used the code first, or its session is complete.";
    BadRequest = "bad-request",
        "An argument or a request is invalid.";
    Busy = "busy",
        "A database is locked, or another process writes the same table.";
    Cancelled = "cancelled",
        "A signal, the answer no, or a receiver that disconnected ended the command.";
    ColumnsDiffer = "columns-differ",
        "A table exists on both sides with different columns.";
    Corrupt = "corrupt",
        "The rows that arrived are damaged, or are not the announced ones.";
    Cycle = "cycle",
        "Tables refer to each other in a cycle.";
    Database = "database",
        "A database refused a statement.";
    DemoDiffers = "demo-differs",
        "The demo found a difference.";
    Denied = "denied",
        "The operator did not grant it, the session does not share it, or plain HTTP was not allowed.";
    Expired = "expired",
        "Nobody used the code in time.";
    IncompatiblePeer = "incompatible-peer",
        "The peer speaks another protocol version, or is not Tombolo.";
    Internal = "internal",
        "A fault of this machine or of Tombolo; the message says which.";
    Limit = "limit",
        "A size, a number or a concurrency limit is exceeded.";
    MissingTable = "missing-table",
        "A table does not exist in the target, and `--no-create` is set.";
    NoLedger = "no-ledger",
        "Tombolo's own tables cannot be created in the database, or somebody else may have written them; the message and the hint say what its owner has to do.";
    NoSuchCode = "no-such-code",
        "No session has this code.";
    NoSuchStrategy = "no-such-strategy",
        "No conflict strategy has this name; the hint lists the known ones.";
    NoSuchTable = "no-such-table",
        "The table does not exist, or is not shared.";
    NotADatabase = "not-a-database",
        "The file is not a SQLite database.";
    NotATable = "not-a-table",
        "The name is that of a view.";
    NotFound = "not-found",
        "Another thing does not exist: a run, an address.";
    NotStored = "not-stored",
        "The table does not hold what was written; the chunk was rolled back.";
    OwnerGone = "owner-gone",
        "The `share` of this code has ended.";
    Plugin = "plugin",
        "A component cannot be used, or failed.";
    PluginDigest = "plugin-digest",
        "A plugin's file does not have the pinned digest.";
    SameDatabase = "same-database",
        "The target is the database that is shared.";
    Sender = "sender",
        "The peer ended the transfer; the message says why.";
    SnapshotExpired = "snapshot-expired",
        "The peer released the snapshot; the rows have to be requested again.";
    TableTooLarge = "table-too-large",
        "A table that refers to itself has more rows than one chunk holds.";
    Timeout = "timeout",
        "No answer arrived in time.";
    TooManyRejects = "too-many-rejects",
        "More rows were rejected than `--reject-limit` allows.";
    Truncated = "truncated",
        "The connection broke in the middle of a table.";
    TypeTaken = "type-taken",
        "An enum that a new table needs cannot be created: another type has its name.";
    Unauthorized = "unauthorized",
        "The request carries no valid token.";
    Unavailable = "unavailable",
        "Not available here or now: an address to listen on, a function of a later version.";
    Unreachable = "unreachable",
        "Nothing answers at the address, or the file cannot be opened.";
    Unrepresentable = "unrepresentable",
        "The target's column cannot hold a value exactly.";
    UnsuitableTable = "unsuitable-table",
        "The table cannot be used as requested; the message says why.";
}

impl ErrorCode {
    /// Returns the HTTP status of an answer that carries this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Denied => 403,
            Self::NoSuchCode | Self::NoSuchTable | Self::NotFound => 404,
            Self::AlreadyUsed | Self::SameDatabase => 409,
            Self::Expired | Self::OwnerGone => 410,
            Self::NotATable => 422,
            Self::IncompatiblePeer => 426,
            Self::Limit => 429,
            Self::Unavailable => 501,
            Self::Busy | Self::Unreachable => 503,
            Self::Timeout => 504,
            _ => 500,
        }
    }

    /// Returns whether a peer may answer a request with this code.
    ///
    /// A code outside this set does not come from a peer of this protocol, whatever the answer says.
    #[must_use]
    pub const fn is_from_peer(self) -> bool {
        matches!(
            self,
            Self::AlreadyUsed
                | Self::BadRequest
                | Self::Busy
                | Self::ColumnsDiffer
                | Self::Cycle
                | Self::Database
                | Self::Denied
                | Self::Expired
                | Self::IncompatiblePeer
                | Self::Internal
                | Self::Limit
                | Self::MissingTable
                | Self::NoSuchCode
                | Self::NoSuchTable
                | Self::NotATable
                | Self::NotFound
                | Self::OwnerGone
                | Self::Plugin
                | Self::SameDatabase
                | Self::Timeout
                | Self::Unauthorized
                | Self::Unavailable
                | Self::Unreachable
        )
    }

    /// Returns whether a claim that failed with this code also fails when it is repeated.
    #[must_use]
    pub const fn ends_a_claim(self) -> bool {
        matches!(
            self,
            Self::AlreadyUsed | Self::Expired | Self::NoSuchCode | Self::OwnerGone
        )
    }
}

/// The text is not an error code of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("unknown error code")
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let mut all = Self::ALL.iter();
        all.find(|code| code.as_str() == text)
            .copied()
            .ok_or(UnknownCode)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Compares the text form, so that the code of a received failure can be tested without parsing it.
impl PartialEq<ErrorCode> for String {
    fn eq(&self, code: &ErrorCode) -> bool {
        self == code.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_from_its_text_form() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!("rm -rf".parse::<ErrorCode>(), Err(UnknownCode));
    }

    #[test]
    fn codes_are_sorted_and_occur_once() {
        assert!(ErrorCode::ALL.windows(2).all(|pair| match pair {
            [one, other] => one.as_str() < other.as_str(),
            _ => false,
        }));
    }
}
