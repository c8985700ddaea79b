//! Splits SQL that PostgreSQL logged into tokens.

/// A part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// In lower case.
    Word(String),
    /// What is in double quotes.
    Quoted(String),
    Operator(String),
    /// A literal; its escapes stay.
    Text(String),
    /// One more character, as a parenthesis or the point between two names.
    Other(char),
}

impl Token {
    /// Returns true for a word without quotes, given in lower case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// Splits SQL; numbers are words.
pub fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let is_operator = |c: char| "+-*/<>=~!@#%^&|`?".contains(c);
        let length =
            |matches: &dyn Fn(char) -> bool| rest.find(|c| !matches(c)).unwrap_or(rest.len());
        let (token, end) = match first {
            '\'' => {
                let escapes = tokens.last().is_some_and(|last: &Token| last.is("e"));
                let (text, end) = quoted(rest, escapes);
                (Token::Text(text), end)
            }
            '"' => {
                let (text, end) = quoted(rest, false);
                (Token::Quoted(text), end)
            }
            c if is_word(c) => {
                let end = length(&is_word);
                (Token::Word(rest[..end].to_lowercase()), end)
            }
            c if is_operator(c) => {
                let end = length(&is_operator);
                (Token::Operator(rest[..end].to_owned()), end)
            }
            c if c.is_whitespace() => {
                rest = rest.trim_start();
                continue;
            }
            other => (Token::Other(other), other.len_utf8()),
        };
        tokens.push(token);
        rest = &rest[end..];
    }
    tokens
}

/// Reads what is in quotes at the beginning of a text. Returns it, and where it ends.
fn quoted(text: &str, escapes: bool) -> (String, usize) {
    let quote = text.chars().next().unwrap_or_default();
    let mut inner = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, next)) = characters.next() {
        if escapes && next == '\\' {
            inner.extend(characters.next().map(|(_, escaped)| escaped));
        } else if next != quote {
            inner.push(next);
        } else if characters.next_if(|(_, after)| *after == quote).is_some() {
            inner.push(quote);
        } else {
            return (inner, at + quote.len_utf8());
        }
    }
    (inner, text.len())
}

#[test]
fn sql_is_split() {
    let sql = r#"Select "A""b"(x) OPERATOR(pg_catalog.=) 'it''s' || E'\'' , $1::int2[]"#;
    let word = |word: &str| Token::Word(word.to_owned());
    let expected = [
        word("select"),
        Token::Quoted("A\"b".to_owned()),
        Token::Other('('),
        word("x"),
        Token::Other(')'),
        word("operator"),
        Token::Other('('),
        word("pg_catalog"),
        Token::Other('.'),
        Token::Operator("=".to_owned()),
        Token::Other(')'),
        Token::Text("it's".to_owned()),
        Token::Operator("||".to_owned()),
        word("e"),
        Token::Text("'".to_owned()),
        Token::Other(','),
        Token::Other('$'),
        word("1"),
        Token::Other(':'),
        Token::Other(':'),
        word("int2"),
        Token::Other('['),
        Token::Other(']'),
    ];
    assert_eq!(tokens(sql), expected);
}
