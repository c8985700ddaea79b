//! Generators of column names, types and literals.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::sqlite::literal;

/// A generator of one type's literals.
pub type Literals = BoxedStrategy<String>;

/// A declared type and literals of it.
pub type Typed = (String, Literals);

/// Names of columns.
pub fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z]{1,8}",
        "[^\0]{1,12}",
        select(vec!["select", "größe", "a\"b", "Id", "table", "1"]).prop_map(str::to_owned)
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let odd = [
        "",
        " ",
        "007",
        "1e5",
        "NULL",
        "infinity",
        "{}",
        "2024-01-01",
        "\\N",
        "-0",
    ];
    prop_oneof![
        "[^\0]{0,12}",
        "[0-9eE+. -]{1,8}",
        select(odd.to_vec()).prop_map(str::to_owned)
    ]
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?",
        select(vec!["NaN", "Infinity", "-Infinity", "0.000"]).prop_map(str::to_owned)
    ]
}

fn floats() -> impl Strategy<Value = String> {
    any::<u64>().prop_map(|bits| {
        let float = f64::from_bits(bits);
        if float.is_infinite() {
            format!("{}Infinity", if float < 0.0 { "-" } else { "" })
        } else {
            format!("{float:?}")
        }
    })
}

fn bytes() -> impl Strategy<Value = String> {
    vec(any::<u8>(), 0..10)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn timestamps() -> impl Strategy<Value = String> {
    let year = prop_oneof![1..4714u32, 1900..2100u32, 1..294_277u32];
    (year, 1..13u8, 1..29u8, 0..86_400_000_000u64, any::<bool>()).prop_map(
        |(year, month, day, at, before)| {
            let (second, micro) = (at / 1_000_000, at % 1_000_000);
            let era = if before && year < 4713 { " BC" } else { "" };
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}{era}"
            )
        },
    )
}

/// Types of PostgreSQL, each with its literals.
pub fn postgres_type() -> impl Strategy<Value = Typed> {
    let array = |inner: Literals| {
        let element = prop_oneof![1 => Just("NULL".to_owned()), 4 => inner.prop_map(|text| format!("\"{}\"", escaped(&text)))];
        vec(element, 0..4)
            .prop_map(|elements| format!("{{{}}}", elements.join(",")))
            .boxed()
    };
    let documents = texts()
        .prop_map(|text| format!("{{ \"a\" : [1.50, {}],\"a\":null}}", json(&text)))
        .boxed();
    let types: Vec<(&str, Literals)> = vec![
        (
            "boolean",
            any::<bool>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "smallint",
            any::<i16>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "integer",
            any::<i32>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "bigint",
            any::<i64>().prop_map(|value| value.to_string()).boxed(),
        ),
        ("numeric", numbers().boxed()),
        (
            "numeric(9,3)",
            (-999_999i32..1_000_000, 0..1000u32)
                .prop_map(|(whole, rest)| format!("{whole}.{rest:03}"))
                .boxed(),
        ),
        ("double precision", floats().boxed()),
        (
            "real",
            any::<f32>()
                .prop_filter("printed in another form", |value| value.is_finite())
                .prop_map(|value| format!("{value:?}"))
                .boxed(),
        ),
        ("text", texts().boxed()),
        ("character varying(12)", texts().boxed()),
        ("character(14)", texts().boxed()),
        (
            "bytea",
            bytes().prop_map(|digits| format!("\\x{digits}")).boxed(),
        ),
        (
            "uuid",
            any::<u128>()
                .prop_map(|value| format!("{value:032x}"))
                .boxed(),
        ),
        ("timestamp", timestamps().boxed()),
        (
            "timestamptz",
            timestamps()
                .prop_filter("out of range west of Greenwich", |text| {
                    !text.contains("4713")
                })
                .boxed(),
        ),
        ("date", timestamps().boxed()),
        (
            "time",
            timestamps()
                .prop_map(|text| text.split(' ').nth(1).unwrap_or_default().to_owned())
                .boxed(),
        ),
        (
            "interval",
            (any::<i16>(), any::<i16>(), any::<i32>())
                .prop_map(|(months, days, seconds)| {
                    format!("{months} mons {days} days {seconds}.5 secs")
                })
                .boxed(),
        ),
        ("json", documents.clone()),
        ("jsonb", documents),
        (
            "inet",
            any::<u32>()
                .prop_map(|bits| std::net::Ipv4Addr::from(bits).to_string())
                .boxed(),
        ),
        ("bit varying", "[01]{0,12}".boxed()),
        ("text[]", array(texts().boxed())),
        ("numeric[]", array(numbers().boxed())),
        ("double precision[]", array(floats().boxed())),
        (
            "bytea[]",
            array(bytes().prop_map(|digits| format!("\\x{digits}")).boxed()),
        ),
        (
            "point",
            (floats(), floats())
                .prop_map(|(x, y)| format!("({x},{y})"))
                .boxed(),
        ),
        (
            "int4range",
            (any::<i16>(), 0..9i32)
                .prop_map(|(low, more)| format!("[{low},{})", i32::from(low) + more))
                .boxed(),
        ),
    ];
    select(types).prop_map(|(kind, literals)| {
        let literals = prop_oneof![1 => Just("NULL".to_owned()), 5 => literals.prop_map(|text| literal(&text))];
        (kind.to_owned(), literals.boxed())
    })
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Declared types of SQLite, each with values that suit it and a few of any storage class.
pub fn sqlite_type() -> impl Strategy<Value = Typed> {
    let integers = any::<i64>()
        .prop_filter("no literal", |value| *value != i64::MIN)
        .prop_map(|value| value.to_string());
    let integers = prop_oneof![integers, (-9..9i8).prop_map(|value| value.to_string())].boxed();
    let reals = any::<f64>()
        .prop_filter("no literal", |value| value.is_finite())
        .prop_map(|value| format!("{value:e}"));
    let reals = prop_oneof![4 => reals, 1 => select(vec!["9e999", "-9e999", "0.0", "1e18"]).prop_map(str::to_owned)].boxed();
    let texts = texts().prop_map(|text| literal(&text)).boxed();
    let blobs = bytes().prop_map(|digits| format!("x'{digits}'")).boxed();
    let with_nul = texts
        .clone()
        .prop_map(|text| format!("{text} || char(0) || 'x'"));
    let odd = prop_oneof![
        integers.clone(),
        reals.clone(),
        texts.clone(),
        blobs.clone(),
        with_nul
    ]
    .boxed();
    let kinds = vec![
        ("", texts.clone()),
        ("INTEGER", integers.clone()),
        ("INT8", integers.clone()),
        ("TEXT", texts.clone()),
        ("VARCHAR(9)", texts.clone()),
        ("BLOB", blobs),
        ("REAL", reals.clone()),
        ("FLOAT", reals.clone()),
        ("NUMERIC", integers),
        ("DECIMAL(5,2)", reals),
        (
            "BOOLEAN",
            select(vec!["0", "1"]).prop_map(str::to_owned).boxed(),
        ),
        ("DATETIME", texts.clone()),
        ("ANY", texts.clone()),
        ("JSON", texts),
    ];
    select(kinds).prop_map(move |(kind, suitable)| {
        let literals = prop_oneof![12 => Just("NULL".to_owned()), 60 => suitable, 1 => odd.clone()];
        (kind.to_owned(), literals.boxed())
    })
}
