//! The two sites of the demo: this program as two processes with separate data folders.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

use crate::cli::output::Output;
use crate::cli::output::announcement::{Announcement, claimed_line};
use crate::cli::output::event::Event;

/// The file that is shared.
pub const SOURCE: &str = "shop.db";

/// The file that is pulled into.
pub const TARGET: &str = "copy.db";

/// How long to wait for the next line of `share`.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the first line of `share` contains.
pub struct Session {
    code: String,
    url: String,
}

/// Both processes; killed when this is dropped.
pub struct Sites {
    binary: PathBuf,
    folder: PathBuf,
    share: Option<(Child, Lines<BufReader<ChildStdout>>)>,
    pull: Option<Child>,
}

impl Sites {
    /// Starts nothing yet.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        Ok(Self {
            binary: std::env::current_exe()?,
            folder: folder.to_owned(),
            share: None,
            pull: None,
        })
    }

    /// Starts `share` and waits for its code.
    pub async fn share(&mut self, output: &Output) -> Result<Session, Failure> {
        let arguments = ["share", SOURCE];
        echo(&arguments, output);
        let mut child = self
            .command("share-data", &arguments)
            .arg("--json")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(unexpected_output)?;
        let (_, lines) = self.share.insert((child, BufReader::new(stdout).lines()));
        let line = next_line(lines).await?.ok_or_else(unexpected_output)?;
        let event = read(&line)?;
        output.result(&announced(&event)?);
        output.forward(&line);
        Ok(Session {
            code: text(&event, "code")?,
            url: text(&event, "url")?,
        })
    }

    /// Runs `pull` to its end, and shows its output.
    pub async fn pull(&mut self, session: &Session, output: &Output) -> Result<(), Failure> {
        let Session { code, url } = session;
        let arguments = [
            "pull",
            url,
            "--into",
            TARGET,
            "--strategy",
            "overwrite",
            "--yes",
        ];
        echo(&arguments, output);
        let mut command = self.command("pull-data", &arguments);
        command.env("TOMBOLO_CODE", code);
        if output.is_json() {
            command.arg("--json");
        }
        let child = self.pull.insert(command.spawn()?);
        succeeded("pull", child.wait().await?)
    }

    /// Waits until `share` ends, and shows what it printed.
    pub async fn finish_share(&mut self, output: &Output) -> Result<(), Failure> {
        let Some((child, lines)) = &mut self.share else {
            return Err(unexpected_output());
        };
        output.note("\nMeanwhile at the other site:");
        while let Some(line) = next_line(lines).await? {
            output.forward(&line);
            if let Some(note) = note(&read(&line)?) {
                output.note(&note);
            }
        }
        succeeded("share", child.wait().await?)
    }

    /// Ends the processes that still run.
    pub async fn end(&mut self) {
        let share = self.share.take().map(|(child, _)| child);
        for mut child in share.into_iter().chain(self.pull.take()) {
            // Usually it has ended already.
            let _ = child.kill().await;
        }
    }

    fn command(&self, data: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("TOMBOLO_DATA", self.folder.join(data))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

fn echo(arguments: &[&str], output: &Output) {
    let line = format!("tombolo {}", arguments.join(" "));
    output.event(&Event::Command { line: &line });
    output.result(&format!("\n$ {line}"));
}

async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<String>, Failure> {
    match tokio::time::timeout(LINE_TIMEOUT, lines.next_line()).await {
        Ok(line) => Ok(line?),
        Err(_) => Err(unexpected_output()),
    }
}

/// Parses an event. Fails with the failure that an `error` event contains.
fn read(line: &str) -> Result<Value, Failure> {
    let event: Value = serde_json::from_str(line).map_err(|_| unexpected_output())?;
    if event.get("event").and_then(Value::as_str) == Some("error") {
        return Err(failure(
            text(&event, "code")?.parse().unwrap_or(ErrorCode::Internal),
            text(&event, "message")?,
            text(&event, "hint")?,
        ));
    }
    Ok(event)
}

fn text(event: &Value, field: &str) -> Result<String, Failure> {
    let text = event.get(field).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(unexpected_output)
}

/// Formats the event `session` as `share` does for people.
fn announced(event: &Value) -> Result<String, Failure> {
    let address = text(event, "url")?;
    let address = address.strip_prefix("http://").unwrap_or_default();
    let tables = event
        .get("tables")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let announcement = Announcement {
        database: SOURCE,
        tables: usize::try_from(tables).unwrap_or_default(),
        code: &text(event, "code")?,
        address: address.parse().map_err(|_| unexpected_output())?,
        machine: "",
        expires: text(event, "expires_at")?
            .parse()
            .map_err(|_| unexpected_output())?,
        now: Timestamp::now(),
    };
    Ok(announcement.text(&TimeZone::system()))
}

/// Formats the event `claimed` as `share` does for people; the numbers of the others are in the report of the pull.
fn note(event: &Value) -> Option<String> {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    match text("event")? {
        "claimed" => Some(claimed_line(text("claimer")?)),
        _ => None,
    }
}

fn succeeded(verb: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(failure(
        ErrorCode::Internal,
        format!("`tombolo {verb}` of the demo failed: {status}"),
        "its output above says why",
    ))
}

fn unexpected_output() -> Failure {
    failure(
        ErrorCode::Internal,
        "`tombolo share` of the demo did not print the expected event",
        "its output above says why",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn events_become_what_people_read() {
        let session = r#"{"event":"session","code":"A7X9K2M4","url":"http://127.0.0.1:7433","expires_at":"2026-01-02T03:04:05Z","tables":4}"#;
        let announced = announced(&read(session).unwrap()).unwrap();
        assert!(
            announced.contains("tombolo pull http://127.0.0.1:7433 --into copy.db"),
            "{announced}"
        );

        let claimed = read(r#"{"event":"claimed","claimer":"ana@laptop"}"#).unwrap();
        assert_eq!(note(&claimed).unwrap(), "claimed by ana@laptop");
        assert_eq!(note(&read(r#"{"event":"newer"}"#).unwrap()), None);
    }

    #[test]
    fn a_failure_of_a_site_is_the_failure_of_the_demo() {
        let error =
            r#"{"event":"error","code":"unavailable","message":"cannot listen","hint":"choose"}"#;
        let failure = read(error).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("unavailable", "cannot listen")
        );
        assert!(read("not json").is_err());
        assert!(announced(&read(r#"{"event":"session"}"#).unwrap()).is_err());
    }

    #[tokio::test]
    async fn no_process_outlives_the_demo() {
        let folder = tempfile::tempdir().unwrap();
        let mut sites = Sites::new(folder.path()).unwrap();
        sites.binary = "sleep".into();
        let child = sites.command("data", &["100"]).spawn().unwrap();
        let process = format!("/proc/{}", child.id().unwrap());
        sites.pull = Some(child);
        sites.end().await;
        assert!(!Path::new(&process).exists());
    }
}
