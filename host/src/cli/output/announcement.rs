//! The texts of `share`: the code, the command for the other site, who used the code, and what was sent.

use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tombolo::printable::printable;
use tombolo::server::WrongCodes;

use super::pace::SentRows;
use super::report;
use super::width::elided;

/// The characters of a usual code.
const CODE: usize = 8;

/// The longest line, on any terminal.
const LINE: usize = 80;

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

/// What is announced: a code, and how the other site uses it.
pub struct Announcement<'a> {
    /// The shared database.
    pub database: &'a str,
    /// How many of its tables are shared.
    pub tables: usize,
    /// The code.
    pub code: &'a str,
    /// The address that is listened on.
    pub address: SocketAddr,
    /// The name of this machine, where other machines can reach it.
    pub machine: &'a str,
    /// Until when the code can be used for the first time.
    pub expires: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Announcement<'_> {
    /// Formats the code, its expiry, and the command for the other site.
    pub fn text(&self, zone: &TimeZone) -> String {
        let noun = if self.tables == 1 { "table" } else { "tables" };
        let mut text = format!("Sharing {} {noun} of ", self.tables);
        let room = LINE.saturating_sub(text.len() + 1);
        text.push_str(&elided(&printable(self.database), room));
        text.push_str(&format!(
            ".\n\n  Code {}, good for one transfer until {}\n",
            printable(&grouped(self.code)),
            until(self.expires, self.now, zone)
        ));
        let Self { address, .. } = self;
        let everywhere = address.ip().is_unspecified();
        let mut command = if everywhere {
            let machine = printable(self.machine);
            format!(
                "tombolo pull http://{machine}:{} --into copy.db",
                address.port()
            )
        } else {
            format!("tombolo pull http://{address} --into copy.db")
        };
        let mut notes = String::new();
        if everywhere {
            notes.push_str(
                "\nIf the other site knows this machine by another name, use that in the address.",
            );
        }
        if !address.ip().is_loopback() {
            command.push_str(" --allow-plain-http");
            notes.push_str(
                "\nThe connection is not encrypted. On a network that you do not trust, listen on\n127.0.0.1 and use a tunnel.",
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
}

/// Returns a code as people read it: one of the usual length in two groups. The hyphen need not be typed.
pub fn grouped(code: &str) -> String {
    let is_usual = code.len() == CODE && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match code.split_at_checked(CODE / 2) {
        Some((first, second)) if is_usual => format!("{first}-{second}"),
        _ => code.to_owned(),
    }
}

/// Formats a moment in local time, with the time that is left: `05:53, 10 min`, on another day `Dec 4 05:53, 6 d 23 h`.
fn until(moment: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let local = moment.to_zoned(zone.clone());
    let form = match local.date() == now.to_zoned(zone.clone()).date() {
        true => "%H:%M",
        false => "%b %-d %H:%M",
    };
    let left = moment.as_second().saturating_sub(now.as_second());
    // Ten minutes are still ten minutes a moment later.
    let minutes = (left + 30) / 60;
    let left = match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", left.max(0)),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("{}, {left}", local.strftime(form))
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

    use std::time::Duration;

    use super::*;

    fn text(address: &str) -> String {
        let now = Timestamp::UNIX_EPOCH;
        let announcement = Announcement {
            database: "shop.db",
            tables: 4,
            code: "A7X9K2M4",
            address: address.parse().unwrap(),
            machine: "laptop",
            expires: now + Duration::from_secs(600),
            now,
        };
        announcement.text(&TimeZone::UTC)
    }

    #[test]
    fn the_command_for_the_other_side_can_be_pasted() {
        let text = text("127.0.0.1:7433");
        assert!(
            text.contains("\n  tombolo pull http://127.0.0.1:7433 --into copy.db"),
            "{text}"
        );
        assert!(
            text.contains("4 tables of shop.db") && !text.contains("encrypted"),
            "{text}"
        );
        assert!(
            text.contains("Code A7X9-K2M4, good for one transfer until 00:10, 10 min"),
            "{text}"
        );
    }

    #[test]
    fn other_machines_need_a_name_and_consent() {
        let everywhere = text("[::]:7432");
        assert!(
            everywhere.contains("pull http://laptop:7432 --into copy.db --allow-plain-http\n"),
            "{everywhere}"
        );
        assert!(everywhere.contains("another name"), "{everywhere}");
        let one = text("192.0.2.7:7432");
        assert!(
            one.contains("pull http://192.0.2.7:7432 --into copy.db --allow-plain-http\n"),
            "{one}"
        );
        assert!(
            one.contains("encrypted") && !one.contains("laptop"),
            "{one}"
        );
        for line in everywhere.lines() {
            assert!(line.len() <= LINE, "{line}");
        }
    }

    #[test]
    fn codes_of_the_usual_length_are_in_groups() {
        assert_eq!(grouped("A7X9K2M4"), "A7X9-K2M4");
        for other in ["1234", "123456789", "a-b-c-d-", "größeß", ""] {
            assert_eq!(grouped(other), other);
        }
    }

    #[test]
    fn a_moment_has_its_local_time_and_what_is_left() {
        let now: Timestamp = "2026-11-27T23:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        for (seconds, expected) in [
            (20, "18:00, 20 s"),
            (599, "18:09, 10 min"),
            (3_600, "19:00, 1 h"),
            (5_400, "19:30, 1 h 30 min"),
            (7 * 3_600, "Nov 28 01:00, 7 h"),
            (7 * 86_400, "Dec 4 18:00, 7 d"),
            (6 * 86_400 + 3_600, "Dec 3 19:00, 6 d 1 h"),
        ] {
            let moment = now + Duration::from_secs(seconds);
            assert_eq!(until(moment, now, &zone), expected);
        }
        assert!(until(now, now + Duration::from_secs(9), &zone).ends_with(", 0 s"));
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
