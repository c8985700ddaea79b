//! Wrong arguments: what is said about them, for people and for programs.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

use super::output::Output;

/// The exit code of wrong arguments.
const WRONG_ARGUMENTS: u8 = 2;

/// Removes the URLs of databases from the error, which may contain passwords.
pub fn without_urls(mut error: clap::Error) -> clap::Error {
    let named = [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ];
    for kind in named {
        if let Some(ContextValue::String(text)) = error.get(kind)
            && let Some((scheme, _)) = text.split_once("://")
        {
            let shown = ContextValue::String(format!("{scheme}://…"));
            error.insert(kind, shown);
            // A suggestion would repeat it.
            error.insert(ContextKind::Suggested, ContextValue::None);
        }
    }
    error
}

/// Prints why the arguments cannot be used: the event `error` if they ask for events, else a text. Prints the help or the
/// version where that was asked for.
pub fn report<'a>(error: &clap::Error, mut arguments: impl Iterator<Item = &'a OsStr>) -> ExitCode {
    let asks_for_events = arguments
        .by_ref()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json");
    if asks_for_events && error.use_stderr() {
        Output::new(true).failure(&described(error));
        return ExitCode::from(WRONG_ARGUMENTS);
    }
    // A closed standard error is no reason to stop.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_ARGUMENTS))
}

/// The error as a failure: its message in one line, and its tips and the usage as a hint.
fn described(error: &clap::Error) -> Failure {
    let nothing = [
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::MissingSubcommand,
    ];
    if nothing.contains(&error.kind()) {
        let hint = "`tombolo help` lists the verbs";
        return failure(ErrorCode::BadRequest, "no verb is given", hint);
    }
    let rendered = error.render().to_string();
    let mut paragraphs = rendered.split("\n\n").map(one_line);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let hints: Vec<String> = paragraphs
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    failure(ErrorCode::BadRequest, message, hints.join(". "))
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::Cli;
    use super::*;

    fn failure_of(line: &str) -> Failure {
        described(&Cli::read_from(line.split_whitespace()).unwrap_err())
    }

    #[test]
    fn message_and_hint_have_one_line_each() {
        let failure = failure_of("tombolo pull http://h --into a.db --stratgy skip");
        assert_eq!(failure.code, "bad-request");
        assert_eq!(failure.message, "unexpected argument '--stratgy' found");
        assert!(
            failure
                .hint
                .starts_with("tip: a similar argument exists: '--strategy'. Usage: tombolo pull "),
            "{failure:?}"
        );
        let missing = failure_of("tombolo pull");
        assert!(missing.message.contains("--into <DB> <URL>"), "{missing:?}");
        assert_eq!(failure_of("tombolo").message, "no verb is given");
    }

    #[test]
    fn a_password_is_not_repeated() {
        for line in [
            "tombolo postgres://ana:secret@host/shop",
            "tombolo tables shop.db postgres://ana:secret@host/shop",
            "tombolo pull http://host --into shop.db --jobs postgres://ana:secret@host/shop",
        ] {
            let failure = failure_of(line);
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
    }
}
