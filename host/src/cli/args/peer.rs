//! The arguments of `pull` and `diff` about the other site, and where the code comes from.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::str::FromStr;

use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

use super::patterns::TablePatterns;
use super::plugins::PluginArgument;
use crate::cli::input;

/// The environment variable with the code.
const CODE_VARIABLE: &str = "TOMBOLO_CODE";

/// The argument that stands for a code that is not on the command line.
const ELSEWHERE: &str = "-";

/// The other site, the wanted tables, and the components that replace standard ones.
#[derive(Debug, clap::Args)]
pub struct PeerArguments {
    /// The URL that `tombolo share` printed
    #[arg(value_name = "URL", value_parser = url)]
    pub url: String,
    /// The code that `tombolo share` printed. Here, other users of this machine can see it in the list of processes:
    /// without it, or with `-`, TOMBOLO_CODE has it, or it is asked for, or it is the first line of standard input
    #[arg(value_name = "CODE")]
    code: Option<Code>,
    /// Only these tables: names or patterns, as for `share --tables` [default: all that are shared]
    #[arg(value_name = "TABLE")]
    tables: Vec<TablePatterns>,
    /// Not these tables: `*` matches any text, `?` one character, `{a,b}` either; repeatable
    #[arg(long, value_name = "GLOB,…")]
    exclude: Vec<TablePatterns>,
    /// Allow unencrypted HTTP to another machine
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Replace a standard component (engine, sessions, conflicts or ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    pub plugins: Vec<PluginArgument>,
}

impl PeerArguments {
    /// Returns the wanted tables as a request names them: those that are left out begin with `!`.
    pub fn selection(&self) -> Vec<String> {
        let excluded = self.exclude.iter().flat_map(TablePatterns::list);
        let excluded = excluded.map(|pattern| format!("!{pattern}"));
        let wanted = self.tables.iter().flat_map(TablePatterns::list).cloned();
        wanted.chain(excluded).collect()
    }

    /// Returns the code: the argument, else that of the environment, else the next line of standard input, for which a
    /// person at a terminal is asked. Fails with `bad-request` if there is none.
    pub async fn code(&self) -> Result<String, Failure> {
        let given = self.code.iter().map(|Code(code)| code.as_str());
        let given = given.filter(|code| *code != ELSEWHERE).map(str::to_owned);
        let set = std::env::var(CODE_VARIABLE).into_iter();
        let code = match given.chain(set).find(|code| !code.trim().is_empty()) {
            Some(code) => Some(code),
            None => {
                let asked = std::io::stdin().is_terminal();
                input::line(asked.then_some("Code:")).await
            }
        };
        let code = code.map(|code| code.trim().to_owned());
        code.filter(|code| !code.is_empty()).ok_or_else(|| {
            let hint = format!(
                "type the code that `tombolo share` printed, or give it in {CODE_VARIABLE} or as the first line of standard input"
            );
            failure(ErrorCode::BadRequest, "there is no code", hint)
        })
    }
}

/// Reads an address; `host:7432` stands for `http://host:7432`.
fn url(text: &str) -> Result<String, Infallible> {
    Ok(match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    })
}

/// A code on the command line. It admits to what is shared, so it is printed nowhere.
#[derive(Clone)]
pub struct Code(String);

impl FromStr for Code {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        peer: PeerArguments,
    }

    fn parse(line: &str) -> PeerArguments {
        Line::parse_from(line.split_whitespace()).peer
    }

    #[tokio::test]
    async fn a_code_on_the_command_line_is_used_and_not_printed() {
        let peer = parse("pull http://host:7432 A7X9K2M4 customers");
        assert_eq!(peer.code().await.unwrap(), "A7X9K2M4");
        assert_eq!(peer.selection(), ["customers"]);
        assert!(!format!("{peer:?}").contains("A7X9K2M4"));
    }

    #[test]
    fn tables_stand_behind_a_code_or_a_hyphen() {
        let peer = parse("pull http://host:7432");
        assert!(peer.code.is_none() && peer.tables.is_empty());
        assert_eq!(parse("pull http://host:7432 - a b").selection(), ["a", "b"]);
    }

    #[test]
    fn tables_may_be_patterns_lists_and_exceptions() {
        let peer = parse("pull host:1 - Tra*,a --exclude b,c* {d,e} --exclude f");
        assert_eq!(peer.selection(), ["Tra*", "a", "{d,e}", "!b", "!c*", "!f"]);
    }

    #[test]
    fn an_address_needs_no_scheme() {
        for (typed, expected) in [
            ("127.0.0.1:7432", "http://127.0.0.1:7432"),
            ("laptop:7432", "http://laptop:7432"),
            ("[::1]:7432", "http://[::1]:7432"),
            ("https://host/path", "https://host/path"),
        ] {
            assert_eq!(parse(&format!("pull {typed}")).url, expected);
        }
    }
}
