//! `--tables GLOB,…`: patterns of table names, separated by commas.

use std::str::FromStr;

use tombolo::bindings::types::Error;
use tombolo::tenant::Patterns;

/// A list of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePatterns(Vec<String>);

impl TablePatterns {
    /// The patterns, each of them usable.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for TablePatterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = split(text);
        if patterns.iter().any(String::is_empty) {
            return Err("a pattern is empty".to_owned());
        }
        match Patterns::new(&patterns) {
            Ok(_) => Ok(Self(patterns)),
            Err(Error::Invalid(reason) | Error::Limit(reason)) => Err(reason),
            Err(_) => Err("these are no patterns of table names".to_owned()),
        }
    }
}

/// Splits at the commas that are not within `{a,b}`.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut parts = vec![String::new()];
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn commas_separate_except_within_braces() {
        let read = |text: &str| text.parse::<TablePatterns>().unwrap().0;
        assert_eq!(read("orders"), ["orders"]);
        assert_eq!(read("order*, {a,b}c,x?"), ["order*", "{a,b}c", "x?"]);
        for text in ["", "a,", ",a", "{", "[z-"] {
            assert!(text.parse::<TablePatterns>().is_err(), "{text}");
        }
    }
}
