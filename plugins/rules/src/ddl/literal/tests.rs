//! Defaults as the databases print them.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn literals_are_parsed_as_databases_print_them() {
    let text = |value: &str| Literal::Text(value.into());
    let number = |value: &str| Literal::Number(value.into());
    for (printed, literal, casts) in [
        (
            "'x'::character varying",
            text("x"),
            &["character varying"][..],
        ),
        ("'it''s'::text", text("it's"), &["text"]),
        ("''", text(""), &[]),
        ("'a::b)'::text", text("a::b)"), &["text"]),
        ("(0)::numeric", number("0"), &["numeric"]),
        ("'-1'::integer", text("-1"), &["integer"]),
        ("(-1)", number("-1"), &[]),
        ("((1.5))", number("1.5"), &[]),
        ("1e-5", number("1e-5"), &[]),
        (" 42 ", number("42"), &[]),
        (
            "('x'::character varying(3))::text",
            text("x"),
            &["character varying(3)", "text"],
        ),
        ("'a'::\"my \"\"type)\"", text("a"), &["\"my \"\"type)\""]),
        ("'{}'::text[]", text("{}"), &["text[]"]),
        (
            "NULL::character varying",
            Literal::Null,
            &["character varying"],
        ),
        ("true", Literal::Boolean(true), &[]),
        ("False", Literal::Boolean(false), &[]),
        ("current_timestamp", Literal::CurrentTimestamp, &[]),
    ] {
        let casts: Vec<String> = casts.iter().map(ToString::to_string).collect();
        assert_eq!(parse(printed), Some((literal, casts)), "{printed}");
    }
}

#[test]
fn expressions_are_not_literals() {
    for expression in [
        "",
        "()",
        "now()",
        "nextval('a'::regclass)",
        "1 + 1",
        "1-1",
        "'a' || 'b'",
        "'a",
        "(1",
        "1)",
        "x",
        "\"x\"",
        "x'00'",
        "CURRENT_TIMESTAMP(3)",
        "0x1F",
        "1_000",
        "- 1",
        "--1",
        "1e",
        ".",
        "e5",
        "1; DROP TABLE x",
        "1 -- x",
        "'a' 'b'",
        "'a\0b'",
        "inf",
        "nan",
        "1e999",
        "+1",
        "'a'::text; DROP TABLE x; --'",
        "1\u{a0}",
        "TRUE_",
    ] {
        assert_eq!(parse(expression), None, "{expression:?}");
    }
}

#[test]
fn casts_that_cut_or_round_are_found() {
    for (printed, keeps) in [
        ("'x'::character varying", true),
        ("('x'::character varying)::text", true),
        ("('abc'::character varying)::character varying(2)", false),
        ("(5)::numeric", true),
        ("(5.7)::numeric", true),
        ("(5.7)::integer", false),
        ("('5.7'::numeric)::integer", false),
        ("(5)::boolean", false),
        ("('2020-01-01'::date)::text", false),
        ("CURRENT_TIMESTAMP::date", false),
    ] {
        let (literal, casts) = parse(printed).unwrap();
        assert_eq!(casts_keep(&literal, &casts), keeps, "{printed}");
    }
}

#[test]
fn a_default_keeps_its_meaning_in_another_form() {
    for (holds, literal, expected) in [
        (Holds::Boolean, "1", Some("TRUE")),
        (Holds::Boolean, "'0'", Some("FALSE")),
        (Holds::Boolean, "2", None),
        (Holds::Integer, "true", Some("1")),
        (Holds::Integer, "'-5'", Some("-5")),
        (Holds::Integer, "1.5", None),
        (Holds::Integer, "9223372036854775808", None),
        (Holds::Integer, "CURRENT_TIMESTAMP", None),
        (Holds::Number, "'0.50'", Some("0.50")),
        (Holds::Number, "'NaN'", None),
        (Holds::Digits, "0.00", Some("'0.00'")),
        (Holds::Digits, "'x'", None),
        (Holds::Text, "'it''s'", Some("'it''s'")),
        (Holds::Text, "7", Some("'7'")),
        (Holds::Text, "1.50", None),
        (Holds::Text, "CURRENT_TIMESTAMP", None),
        (
            Holds::Moment,
            "CURRENT_TIMESTAMP",
            Some("CURRENT_TIMESTAMP"),
        ),
        (Holds::Moment, "'now'", None),
        (Holds::Other, "'x'", None),
        (Holds::Same, "1.50", Some("1.50")),
    ] {
        let (parsed, _) = parse(literal).unwrap();
        assert_eq!(
            holds.default(&parsed).as_deref(),
            expected,
            "{holds:?} {literal}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_a_panic(text in any::<String>()) {
        if let Some((literal, casts)) = parse(&text) {
            let _ = casts_keep(&literal, &casts);
        }
    }

    #[test]
    fn strings_are_parsed_as_printed(text in "[^\0]{0,20}") {
        let literal = Literal::Text(text);
        prop_assert_eq!(parse(&literal.sql()), Some((literal.clone(), vec![])));
    }

    #[test]
    fn numbers_are_parsed_as_printed(value in any::<i64>(), real in -1e300_f64..1e300) {
        for digits in [value.to_string(), real.to_string(), format!("{real:e}")] {
            prop_assert_eq!(parse(&digits), Some((Literal::Number(digits), vec![])));
        }
    }
}
