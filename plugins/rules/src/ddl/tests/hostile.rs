//! Hostile schemas of a peer.

use proptest::prelude::*;
use sqlparser::keywords::ALL_KEYWORDS;

use super::*;

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\"'`;\\\\(),\\[\\] a-c-]{0,12}",
        ".{0,20}",
        any::<String>(),
        Just("\\\" text); DROP TABLE x; --".to_owned()),
        Just("\"\"".to_owned()),
        Just("a\0b".to_owned()),
    ]
}

fn hostile_column() -> impl Strategy<Value = Column> {
    let words = prop::sample::select(ALL_KEYWORDS).prop_map(str::to_owned);
    let origin = (
        "(pg:|sqlite:|my:|)",
        prop_oneof![hostile(), words, "[a-zA-Z_]{1,9}(\\([0-9]{1,3}\\))?"],
    );
    let default = prop::option::of(prop_oneof![
        hostile(),
        hostile().prop_map(|text| Literal::Text(text).sql()),
        "[0-9.e-]{1,6}"
    ]);
    let logical = prop_oneof![
        Just(LogicalType::Boolean),
        Just(LogicalType::Integer),
        Just(LogicalType::Decimal),
        Just(LogicalType::Bytes),
        Just(LogicalType::Timestamp),
        hostile().prop_map(LogicalType::Other),
    ];
    let generation = prop_oneof![
        Just(Generation::None),
        Just(Generation::IdentityDefault),
        hostile().prop_map(Generation::Other)
    ];
    (
        hostile(),
        logical,
        origin,
        any::<bool>(),
        default,
        generation,
    )
        .prop_map(
            |(name, logical, (prefix, origin), nullable, default, generation)| Column {
                name,
                logical,
                origin: prefix + &origin,
                nullable,
                default,
                generation,
            },
        )
}

/// Returns a name as `format_type` prints it, always in quotes.
fn quoted_name(printed: &str) -> String {
    if printed.starts_with('"') {
        printed.to_owned()
    } else {
        quote(printed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Any schema gives one CREATE TABLE with its name and exactly its columns, or a refusal.
    #[test]
    fn hostile_schemas_stay_one_statement(
        name in hostile(),
        columns in prop::collection::vec(hostile_column(), 1..5),
        in_key in 0_usize..3,
        sqlite in any::<bool>(),
        known in any::<bool>(),
        labels in prop::option::of(prop::collection::vec(hostile(), 0..3)),
    ) {
        let dialect = if sqlite { Dialect::Sqlite } else { Dialect::Postgres };
        let types = columns.iter().filter_map(|column| column.origin.strip_prefix("pg:")).filter(|_| known);
        let types: Vec<String> = types.map(str::to_owned).collect();
        let mut enums: Vec<EnumType> = Vec::new();
        for name in columns.iter().filter_map(|column| column.origin.strip_prefix("pg:")) {
            if let Some(labels) = &labels {
                enums.push(EnumType { name: name.to_owned(), labels: labels.clone() });
            }
        }
        let primary_key = columns.iter().take(in_key).map(|column| column.name.clone()).collect();
        let table = TableSchema { table: name, columns, primary_key, unique_keys: vec![], foreign_keys: vec![], enums, };
        match create_table(&dialect, &table, &options(&types, &[])) {
            Ok(plan) => {
                let create = parsed(&dialect, &plan);
                for statement in plan.before.iter().rev().skip(1) {
                    let created = enums::parsed(statement);
                    let declared = |kind: &EnumType| quoted_name(&kind.name) == created.name && kind.labels == created.labels;
                    prop_assert!(!sqlite && table.enums.iter().any(declared), "{}", statement.sql);
                }
                let names: Vec<&String> = create.columns.iter().map(|column| &column.name.value).collect();
                let expected: Vec<&String> = table.columns.iter().map(|column| &column.name).collect();
                prop_assert_eq!(names, expected);
                prop_assert_eq!(create.constraints.len(), usize::from(in_key > 0));
                prop_assert!(create.query.is_none());
                prop_assert!(plan.not_carried.iter().all(|line| !line.contains(char::is_control)));
            }
            Err(error) => {
                let Error::Invalid(text) = error else { panic!("{error:?}") };
                prop_assert!(!text.contains(char::is_control), "{}", text);
            }
        }
    }

    /// A text default keeps its value, whatever characters it has.
    #[test]
    fn text_defaults_are_unchanged(text in "[^\0]{0,20}", sqlite in any::<bool>()) {
        let dialect = if sqlite { Dialect::Sqlite } else { Dialect::Postgres };
        let column = with_default(column("a", LogicalType::Text, "pg:text"), &format!("{}::text", Literal::Text(text.clone()).sql()));
        let plan = create_table(&dialect, &table(vec![column], &[]), &options(&[], &[])).unwrap();
        let create = parsed(&dialect, &plan);
        let printed = format!("{:?}", create.columns[0].options);
        prop_assert!(printed.contains(&format!("SingleQuotedString({text:?})")), "{}", printed);
    }
}
