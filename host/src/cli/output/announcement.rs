//! The texts of `share`: the code, the command for the other site, who used the code, and what was sent.

use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tombolo::printable::printable;
use tombolo::server::WrongCodes;

use super::pace::SentRows;
use super::report;

/// Formats who used the code.
pub fn claimed_line(claimer: &str) -> String {
    format!("claimed by {}", printable(claimer))
}

/// Formats a table that was sent.
pub fn sent_line(table: &str, sent: SentRows) -> String {
    let (rows, bytes) = (report::count(sent.rows), report::bytes(sent.bytes));
    let mut line = format!("{}: {rows} sent, {bytes}", printable(table));
    if sent.times > 1 {
        line.push_str(&format!(" ({} times)", report::number(sent.times)));
    }
    line
}

/// Formats the wrong codes that peers sent.
pub fn wrong_codes_line(wrong: &WrongCodes) -> String {
    let count = report::number(wrong.count);
    let noun = if wrong.count == 1 { "code" } else { "codes" };
    match wrong.addresses {
        0 | 1 => format!("{count} wrong {noun} from {}", wrong.most_from),
        addresses => format!(
            "{count} wrong {noun} from {addresses} addresses, {} of them from {}",
            report::number(wrong.most),
            wrong.most_from
        ),
    }
}

/// Formats the code, its expiry, and the command for the other site.
pub fn announcement(
    database: &str,
    tables: usize,
    code: &str,
    address: SocketAddr,
    expires: Timestamp,
) -> String {
    let noun = if tables == 1 { "table" } else { "tables" };
    let expires = expires.to_zoned(TimeZone::system());
    let expires = expires.strftime("%Y-%m-%d %H:%M:%S %:z");
    let (database, code) = (printable(database), printable(code));
    let mut command = if address.ip().is_unspecified() {
        format!("tombolo pull http://HOST:{} --into DB", address.port())
    } else {
        format!("tombolo pull http://{address} --into DB")
    };
    let mut text = format!(
        "Sharing {tables} {noun} of {database}.\n\n  Code {code}, good for one transfer that begins before {expires}\n"
    );
    let mut notes = String::new();
    if address.ip().is_unspecified() {
        notes.push_str(
            "\nReplace HOST with the name or address of this machine, as the other site knows it.",
        );
    }
    if !address.ip().is_loopback() {
        command.push_str(" --allow-plain-http");
        notes.push_str(
            "\nThe connection is not encrypted: on a network that you do not trust, listen on 127.0.0.1 and use a tunnel.",
        );
    }
    text.push_str(&format!(
        "\nAt the other site, which asks for the code:\n\n  {command}"
    ));
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

/// Converts milliseconds since 1970 UTC into a time.
pub fn expiry(milliseconds: u64) -> Timestamp {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn text(address: &str) -> String {
        announcement(
            "shop.db",
            4,
            "A7X9K2M4",
            address.parse().unwrap(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn the_command_for_the_other_side_can_be_copied() {
        let text = text("127.0.0.1:7433");
        assert!(
            text.contains("\n  tombolo pull http://127.0.0.1:7433 --into DB"),
            "{text}"
        );
        assert!(
            text.contains("4 tables of shop.db") && !text.contains("encrypted"),
            "{text}"
        );
    }

    #[test]
    fn other_machines_need_a_name_and_consent() {
        let everywhere = text("[::]:7432");
        assert!(
            everywhere.contains("pull http://HOST:7432 --into DB --allow-plain-http\n"),
            "{everywhere}"
        );
        assert!(everywhere.contains("Replace HOST"), "{everywhere}");
        let one = text("192.0.2.7:7432");
        assert!(
            one.contains("pull http://192.0.2.7:7432 --into DB --allow-plain-http\n"),
            "{one}"
        );
        assert!(one.contains("encrypted") && !one.contains("HOST"), "{one}");
    }

    #[test]
    fn a_table_sent_often_and_wrong_codes_are_one_line_each() {
        let sent = |times| SentRows {
            times,
            rows: 14,
            bytes: 70,
        };
        assert!(!sent_line("t", sent(1)).contains("times"));
        assert!(sent_line("t", sent(7)).ends_with("(7 times)"));
        let wrong = |count, addresses| WrongCodes {
            count,
            addresses,
            most_from: "203.0.113.7".to_owned(),
            most: 37,
        };
        let one = wrong_codes_line(&wrong(37, 1));
        assert_eq!(one, "37 wrong codes from 203.0.113.7");
        let several = wrong_codes_line(&wrong(40, 3));
        assert_eq!(
            several,
            "40 wrong codes from 3 addresses, 37 of them from 203.0.113.7"
        );
    }

    #[test]
    fn times_are_utc_for_programs() {
        assert_eq!(
            expiry(1_767_323_045_000).to_string(),
            "2026-01-02T03:04:05Z"
        );
        assert_eq!(expiry(u64::MAX), Timestamp::MAX);
    }
}
