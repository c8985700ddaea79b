//! Which tables a pull takes: names, patterns, and patterns of what is left out.

/// The most alternatives that a pattern is expanded to.
const MAX_ALTERNATIVES: usize = 1_000;

/// Whether the tables are given by their names only, so that the peer's list is not needed.
pub fn is_plain(tables: &[String]) -> bool {
    !tables
        .iter()
        .any(|one| one.starts_with('!') || one.contains(['*', '?', '{']))
}

/// Whether a table is taken. The numbers of the patterns that it matches are added to `matched`.
pub fn takes(tables: &[String], name: &str, matched: &mut Vec<u32>) -> bool {
    let mut taken = true;
    let mut wanted = false;
    let mut has_wanted = false;
    for (number, pattern) in (0..).zip(tables) {
        let (excluded, text) = match pattern.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, pattern.as_str()),
        };
        has_wanted |= !excluded;
        if !matches(text, name) {
            continue;
        }
        if !matched.contains(&number) {
            matched.push(number);
        }
        taken &= !excluded;
        wanted |= !excluded;
    }
    taken && (wanted || !has_wanted)
}

/// Returns the first pattern that no table matched.
pub fn unmatched<'a>(tables: &'a [String], matched: &[u32]) -> Option<&'a str> {
    let mut patterns = (0..).zip(tables);
    let found = patterns.find(|(number, _)| !matched.contains(number));
    found.map(|(_, pattern)| pattern.strip_prefix('!').unwrap_or(pattern))
}

/// Whether a name is the pattern itself or matches it: `*` matches any text, `?` one character, `{a,b}` either.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern == name {
        return true;
    }
    let name: Vec<char> = name.chars().collect();
    alternatives(pattern)
        .iter()
        .any(|one| matches_plain(one, &name))
}

/// Expands `{a,b}`.
fn alternatives(pattern: &str) -> Vec<Vec<char>> {
    let mut waiting = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(one) = waiting.pop() {
        let parts = one
            .find('}')
            .and_then(|end| Some((one.get(..end)?.rfind('{')?, end)));
        let parts = parts.and_then(|(begin, end)| {
            Some((
                one.get(..begin)?,
                one.get(begin + 1..end)?,
                one.get(end + 1..)?,
            ))
        });
        let Some((before, within, behind)) = parts else {
            done.push(one.chars().collect());
            continue;
        };
        if waiting.len() + done.len() > MAX_ALTERNATIVES {
            return Vec::new();
        }
        waiting.extend(
            within
                .split(',')
                .map(|one| format!("{before}{one}{behind}")),
        );
    }
    done
}

fn matches_plain(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    // Where to go on if what follows the last `*` does not match.
    let mut star: Option<(usize, usize)> = None;
    while let Some(sign) = name.get(position) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(expected) if *expected == '?' || expected == sign => {
                at += 1;
                position += 1;
            }
            _ => match star {
                Some((begin, taken)) => {
                    star = Some((begin, taken + 1));
                    at = begin + 1;
                    position = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(tables: &[&str], names: &[&str]) -> Vec<String> {
        let tables: Vec<String> = tables.iter().map(|&one| one.to_owned()).collect();
        let mut matched = Vec::new();
        let names = names
            .iter()
            .filter(|name| takes(&tables, name, &mut matched));
        names.map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn patterns_match_as_for_share() {
        for (pattern, name, expected) in [
            ("Tra*", "Track", true),
            ("Tra*", "Tra", true),
            ("*", "", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xayb ", false),
            ("t?", "t1", true),
            ("t?", "t", false),
            ("{a,b{c,d}}x", "bdx", true),
            ("{a,b}x", "cx", false),
            ("{a", "{a", true),
            ("größe*", "größen", true),
            ("a*", "b", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let many = "{a,b}".repeat(40);
        assert!(!matches(&many, "c"));
        assert!(!matches(&"*a".repeat(60), &"a".repeat(59)));
    }

    #[test]
    fn what_is_excluded_is_not_taken() {
        let names = ["Album", "Artist", "Track"];
        assert_eq!(taken(&["A*"], &names), ["Album", "Artist"]);
        assert_eq!(taken(&["A*", "!Al*"], &names), ["Artist"]);
        assert_eq!(taken(&["!Track"], &names), ["Album", "Artist"]);
        assert!(is_plain(&["a".to_owned()]) && !is_plain(&["!a".to_owned()]));
    }

    #[test]
    fn a_pattern_that_no_table_matches_is_named() {
        let tables = ["A*".to_owned(), "!X*".to_owned()];
        let mut matched = Vec::new();
        takes(&tables, "Album", &mut matched);
        assert_eq!(unmatched(&tables, &matched), Some("X*"));
        takes(&tables, "Xenon", &mut matched);
        assert_eq!(unmatched(&tables, &matched), None);
    }
}
