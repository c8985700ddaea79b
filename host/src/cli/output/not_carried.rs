//! What the tables that a pull creates do not have, counted by kind.

use std::collections::BTreeMap;

use tombolo::bindings::transfers::TablePlan;
use tombolo::printable::printable;

use super::report::number;

/// Kinds with more words than this are not kinds, but sentences.
const MAX_WORDS: usize = 3;

/// Returns one line a kind, with its number; with `verbose`, one line for each thing. Nothing if everything is carried over.
pub fn lines(plans: &[TablePlan], verbose: bool) -> Vec<String> {
    let lost = plans
        .iter()
        .flat_map(|plan| plan.not_carried.iter().map(|lost| (&plan.table, lost)));
    if verbose {
        let line = |(table, lost): (&String, &String)| {
            format!(
                "{}: not carried over: {}",
                printable(table),
                printable(lost)
            )
        };
        return lost.map(line).collect();
    }
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (_, lost) in lost {
        *kinds.entry(kind(lost)).or_default() += 1;
    }
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut kinds: Vec<(String, u64)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let digits = kinds.first().map_or(0, |(_, count)| number(*count).len());
    let header = "Not carried over (--verbose lists them):".to_owned();
    let lines = kinds.iter().map(|(kind, count)| {
        let noun = if *count == 1 {
            printable(kind)
        } else {
            plural(&printable(kind))
        };
        format!("{:>1$} {noun}", number(*count), digits + 2)
    });
    std::iter::once(header).chain(lines).collect()
}

/// Returns the kind of a thing from its description: `foreign key` of `the foreign key ("a") to table "b"`.
fn kind(lost: &str) -> String {
    let (of_column, what) = match lost.strip_prefix("of column ") {
        Some(rest) => (true, rest.split_once("\": ").map_or(rest, |(_, what)| what)),
        None => (false, lost),
    };
    let words = |text: &str| -> Vec<String> {
        let end = text.find(|sign: char| !sign.is_alphabetic() && !matches!(sign, ' ' | '-' | '_'));
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let mut kind = words(what);
    if kind
        .first()
        .is_some_and(|word| matches!(word.as_str(), "the" | "its" | "a" | "an"))
    {
        kind.remove(0);
    }
    if what.starts_with("its ") {
        // What follows the noun is the thing itself.
        kind.truncate(1);
    }
    let is_sentence = kind
        .first()
        .is_some_and(|word| matches!(word.as_str(), "that" | "how"));
    if kind.is_empty() || kind.len() > MAX_WORDS || is_sentence {
        return if of_column {
            "property of a column"
        } else {
            "other thing"
        }
        .to_owned();
    }
    if of_column {
        kind.extend(["of a column".to_owned()]);
    } else if what.contains("its database computes") && kind == ["column"] {
        kind.insert(0, "computed".to_owned());
    }
    kind.join(" ")
}

fn plural(kind: &str) -> String {
    let (noun, rest) = match kind.strip_suffix(" of a column") {
        Some(noun) => (noun, " of columns"),
        None => (kind, ""),
    };
    let noun = match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    };
    format!("{noun}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(table: &str, not_carried: &[&str]) -> TablePlan {
        TablePlan {
            table: table.to_owned(),
            strategy: "skip".to_owned(),
            rows: 1,
            exact: true,
            create: true,
            local_rows: 0,
            not_carried: not_carried.iter().map(|&lost| lost.to_owned()).collect(),
            statements: Vec::new(),
            continued: false,
        }
    }

    #[test]
    fn kinds_are_counted_and_single_things_listed_when_asked_for() {
        let plans = [
            plan(
                "a",
                &[
                    "the foreign key (\"b\") to table \"c\"",
                    "the index \"i\"",
                    "the check \"k\": n > 1",
                ],
            ),
            plan(
                "b",
                &[
                    "the foreign key (\"d\") to table \"e\"",
                    "the index \"j\"",
                    "the foreign key (\"f\")",
                ],
            ),
            plan("c", &[]),
        ];
        assert_eq!(
            lines(&plans, false),
            [
                "Not carried over (--verbose lists them):",
                "  3 foreign keys",
                "  2 indexes",
                "  1 check",
            ]
        );
        let listed = lines(&plans, true);
        assert_eq!(listed.len(), 6);
        assert_eq!(
            listed.last().map(String::as_str),
            Some("b: not carried over: the foreign key (\"f\")")
        );
        assert!(lines(&plans[2..], false).is_empty());
    }

    #[test]
    fn a_kind_is_the_noun_of_a_description() {
        for (lost, expected) in [
            (
                "column \"total\", which its database computes",
                "computed column",
            ),
            ("the unique key (\"a\", \"b\")", "unique key"),
            (
                "of column \"n: x\": its default now()",
                "default of a column",
            ),
            ("of column \"n\": its numbering", "numbering of a column"),
            (
                "of column \"n\": that NULL is allowed, which PostgreSQL does not support in a key",
                "property of a column",
            ),
            ("the large object 17", "large object"),
            ("wide n", "wide n"),
            ("", "other thing"),
            ("\"x\"", "other thing"),
        ] {
            assert_eq!(kind(lost), expected, "{lost}");
        }
        assert_eq!(plural("property of a column"), "properties of columns");
        assert_eq!(plural("foreign key"), "foreign keys");
        assert_eq!(plural("index"), "indexes");
    }
}
