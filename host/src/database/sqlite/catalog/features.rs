//! What a table has that its schema does not describe: indexes, checks, triggers, collations and more.

use sqlx::SqliteConnection;

use super::{Table, get, rows};
use crate::database::DatabaseError;

/// The most features of one table that are named.
const MAX_FEATURES: usize = 1_000;

/// The most characters of one feature's text.
const MAX_CHARACTERS: usize = 200;

/// Returns the features of a table, one phrase each.
pub async fn of_table(
    connection: &mut SqliteConnection,
    table: &Table,
) -> Result<Vec<String>, DatabaseError> {
    let name = &table.schema.table;
    let mut features = Vec::new();
    // Full unique indexes of plain columns are keys of the schema.
    let indexes = rows(
        connection,
        "SELECT l.name FROM pragma_index_list(?, 'main') AS l WHERE l.origin = 'c' AND NOT (l.\"unique\" AND NOT l.partial
           AND NOT EXISTS (SELECT 1 FROM pragma_index_info(l.name, 'main') AS i WHERE i.name IS NULL))
         ORDER BY l.name",
        name,
    );
    for row in indexes.await? {
        features.push(named("index", &get::<String>(&row, 0)?));
    }
    for trigger in super::triggers(connection, name).await? {
        features.push(named("trigger", &trigger));
    }
    let views = rows(
        connection,
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'view' AND instr(lower(sql), lower(?)) > 0 ORDER BY name",
        name,
    );
    for row in views.await? {
        let sql: String = get(&row, 1)?;
        let mentions = |token: &Token<'_>| token.is_name(name);
        if tokens(&sql).any(|token| mentions(&token)) {
            features.push(named("view", &get::<String>(&row, 0)?));
        }
    }
    let created = rows(
        connection,
        "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?",
        name,
    );
    for row in created.await? {
        features.extend(of_statement(&get::<String>(&row, 0)?));
    }
    if table.without_rowid {
        features.push("that it is WITHOUT ROWID".to_owned());
    }
    features.truncate(MAX_FEATURES);
    Ok(features)
}

fn named(kind: &str, name: &str) -> String {
    format!("the {kind} {}", shortened(&format!("{name:?}")))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns what the statement that created a table says beside columns and keys.
fn of_statement(sql: &str) -> Vec<String> {
    let mut features = Vec::new();
    let mut tokens = tokens(sql).peekable();
    // The depth of parentheses, and where a check began.
    let (mut depth, mut check): (usize, Option<(usize, usize)>) = (0, None);
    while let Some(token) = tokens.next() {
        match token.text {
            "(" => depth += 1,
            ")" => {
                depth = depth.saturating_sub(1);
                if let Some((start, open)) = check
                    && open == depth
                {
                    let text = sql.get(start..=token.start).unwrap_or_default();
                    let words: Vec<&str> = text.split_whitespace().collect();
                    features.push(format!("the check {}", shortened(&words.join(" "))));
                    check = None;
                }
            }
            _ if check.is_some() || token.quoted => {}
            word if word.eq_ignore_ascii_case("check") => {
                if let Some(next) = tokens.peek().filter(|next| next.text == "(") {
                    check = Some((next.start, depth));
                }
            }
            word if word.eq_ignore_ascii_case("collate") => {
                let collation = tokens.next().map(|token| token.name());
                let collation = collation.filter(|name| !name.eq_ignore_ascii_case("binary"));
                if let Some(name) = collation {
                    features.push(named("collation", &name));
                }
            }
            word if word.eq_ignore_ascii_case("autoincrement") => {
                features.push(
                    "AUTOINCREMENT, by which numbers of deleted rows never come again".to_owned(),
                );
            }
            word if depth == 0 && word.eq_ignore_ascii_case("strict") => {
                features.push("that it is STRICT".to_owned());
            }
            _ => {}
        }
    }
    features
}

/// One word, name, text or sign of a statement.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    start: usize,
    quoted: bool,
}

impl Token<'_> {
    /// Returns the name that it stands for.
    fn name(&self) -> String {
        if !self.quoted {
            return self.text.to_owned();
        }
        let mut characters = self.text.chars();
        let open = characters.next().unwrap_or('"');
        let close = if open == '[' { ']' } else { open };
        let inside = characters.as_str();
        let inside = inside.strip_suffix(close).unwrap_or(inside);
        inside.replace(&format!("{close}{close}"), &close.to_string())
    }

    fn is_name(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }
}

/// Splits a statement, without comments and white space.
fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut position = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = sql.get(position..)?;
            let first = rest.chars().next()?;
            let (length, kind) = match first {
                '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
                '/' if rest.starts_with("/*") => {
                    let end = rest.get(2..).and_then(|rest| rest.find("*/"));
                    (end.map_or(rest.len(), |end| end + 4), None)
                }
                '\'' | '"' | '`' => (quoted_length(rest, first), Some(true)),
                '[' => (rest.find(']').map_or(rest.len(), |end| end + 1), Some(true)),
                _ if first.is_whitespace() => (first.len_utf8(), None),
                _ if is_word(first) => {
                    let end = rest.find(|character| !is_word(character));
                    (end.unwrap_or(rest.len()), Some(false))
                }
                _ => (first.len_utf8(), Some(false)),
            };
            let start = position;
            position += length;
            if let Some(quoted) = kind {
                let text = sql.get(start..position)?;
                return Some(Token {
                    text,
                    start,
                    quoted,
                });
            }
        }
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// Returns the length of a quoted part; a doubled quote does not end it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut quotes = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        if character != quote {
            continue;
        }
        quotes += 1;
        let doubled = quotes > 1 && characters.peek().is_some_and(|(_, next)| *next == quote);
        if doubled {
            characters.next();
        } else if quotes > 1 {
            return position + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statement_says_is_found() {
        let found = of_statement(
            "CREATE TABLE \"check (\" (id INTEGER PRIMARY KEY AUTOINCREMENT, -- CHECK (no)\n a TEXT COLLATE NOCASE CHECK (a <> ')'  AND (1)),
             b [collate x] DEFAULT 'check (1)', c COLLATE \"my \"\"own\" /* collate z */, d COLLATE BINARY, CONSTRAINT x CHECK(b > 0)) STRICT",
        );
        assert_eq!(
            found,
            [
                "AUTOINCREMENT, by which numbers of deleted rows never come again",
                "the collation \"NOCASE\"",
                "the check (a <> ')' AND (1))",
                "the collation \"my \\\"own\"",
                "the check (b > 0)",
                "that it is STRICT",
            ]
        );
    }

    #[test]
    fn any_text_is_split_without_panic() {
        for sql in [
            "", "'", "\"\"", "/*", "--", "[", "CHECK", "check (", "é'é", "COLLATE",
        ] {
            let _ = of_statement(sql);
            let _ = tokens(sql).count();
        }
    }

    #[test]
    fn names_are_found_in_every_form_of_quotes() {
        for sql in ["FROM t", "FROM \"T\"", "FROM [t]", "FROM `t`", "main.t,x"] {
            assert!(tokens(sql).any(|token| token.is_name("t")), "{sql}");
        }
        for sql in ["FROM tt", "FROM \"t t\"", "/* t */", "-- t"] {
            assert!(!tokens(sql).any(|token| token.is_name("t")), "{sql}");
        }
    }
}
