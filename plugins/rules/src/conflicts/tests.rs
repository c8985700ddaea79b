//! The plans of the standard strategies, and their refusals.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use proptest::prelude::{Just, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

use super::*;

fn column(name: &str, logical: LogicalType, generation: Generation) -> Column {
    Column {
        name: name.into(),
        logical,
        origin: "pg:text".into(),
        nullable: true,
        default: None,
        generation,
    }
}

/// `id` numbered, `name`, `price`, and `total` computed.
fn goods() -> TableSchema {
    TableSchema {
        table: "goods".into(),
        columns: vec![
            column("id", LogicalType::Integer, Generation::IdentityDefault),
            column("name", LogicalType::Text, Generation::None),
            column("price", LogicalType::Decimal, Generation::None),
            column("total", LogicalType::Decimal, Generation::Computed),
        ],
        primary_key: vec!["id".into()],
        unique_keys: vec![],
        foreign_keys: vec![],
        enums: Vec::new(),
    }
}

fn invalid(strategy: &str, incoming: &TableSchema, local: &TableSchema) -> String {
    match plan(strategy, &[], incoming, local) {
        Err(Error::Invalid(text)) => text,
        other => panic!("{strategy}: {other:?}"),
    }
}

fn rules(plan: &SetPlan) -> Vec<(&str, &ValueSource)> {
    let update = plan.update.as_ref().unwrap();
    update
        .columns
        .iter()
        .map(|rule| (rule.column.as_str(), &rule.source))
        .collect()
}

#[test]
fn every_strategy_has_a_description_of_one_line() {
    let listed = strategies();
    let names: Vec<&str> = listed.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["skip", "overwrite", "merge", "append"]);
    assert!(
        listed
            .iter()
            .all(|info| !info.description.is_empty() && !info.description.contains('\n'))
    );
}

#[test]
fn skip_identifies_rows_by_their_key_and_changes_none() {
    let plan = plan("skip", &[], &goods(), &goods()).unwrap();
    assert_eq!(
        plan,
        SetPlan {
            key: vec!["id".into()],
            regenerate_key: false,
            update: None
        }
    );
}

#[test]
fn overwrite_and_merge_update_the_columns_that_arrive() {
    let overwrite = plan("overwrite", &[], &goods(), &goods()).unwrap();
    assert_eq!(overwrite.key, ["id"]);
    assert_eq!(
        rules(&overwrite),
        [
            ("name", &ValueSource::TakeIncoming),
            ("price", &ValueSource::TakeIncoming)
        ]
    );
    let merge = plan("merge", &[], &goods(), &goods()).unwrap();
    assert_eq!(
        rules(&merge),
        [
            ("name", &ValueSource::Coalesce),
            ("price", &ValueSource::Coalesce)
        ]
    );

    let mut narrow = goods();
    narrow.columns.retain(|column| column.name != "name");
    assert_eq!(
        rules(&plan("merge", &[], &narrow, &goods()).unwrap()),
        [("price", &ValueSource::Coalesce)]
    );

    let mut numbered = goods();
    numbered.columns[1].generation = Generation::IdentityAlways;
    assert_eq!(
        rules(&plan("merge", &[], &goods(), &numbered).unwrap()),
        [("price", &ValueSource::Coalesce)]
    );
}

#[test]
fn a_table_of_key_columns_has_nothing_to_update() {
    let mut links = goods();
    links.primary_key = vec!["name".into(), "price".into(), "id".into()];
    let plan = plan("overwrite", &[], &links, &links).unwrap();
    assert_eq!(plan.key, ["name", "price", "id"], "in the key's own order");
    assert_eq!(plan.update.unwrap().columns, []);
}

#[test]
fn the_local_key_counts_and_has_to_arrive() {
    let mut keyed_by_name = goods();
    keyed_by_name.primary_key = vec!["name".into()];
    assert_eq!(
        plan("skip", &[], &goods(), &keyed_by_name).unwrap().key,
        ["name"]
    );

    let mut without_id = goods();
    without_id.columns.remove(0);
    let mut computed_id = goods();
    computed_id.columns[0].generation = Generation::Computed;
    for strategy in ["skip", "overwrite", "merge", "append"] {
        for incoming in [&without_id, &computed_id] {
            let text = invalid(strategy, incoming, &goods());
            assert!(
                text.contains("\"id\"")
                    && text.contains("\"goods\"")
                    && text.contains("does not arrive"),
                "{text}"
            );
        }
    }
}

#[test]
fn without_a_key_only_append_works() {
    let mut keyless = goods();
    keyless.primary_key.clear();
    for strategy in ["skip", "overwrite", "merge"] {
        let text = invalid(strategy, &goods(), &keyless);
        assert!(
            text.contains("\"goods\" has none") && text.contains("use append"),
            "{text}"
        );
    }
    let plan = plan("append", &[], &goods(), &keyless).unwrap();
    assert_eq!(
        plan,
        SetPlan {
            key: vec![],
            regenerate_key: false,
            update: None
        }
    );
}

#[test]
fn append_needs_a_key_that_the_database_numbers() {
    for generation in [Generation::IdentityDefault, Generation::IdentityAlways] {
        let mut local = goods();
        local.columns[0].generation = generation;
        let plan = plan("append", &[], &goods(), &local).unwrap();
        assert_eq!(
            plan,
            SetPlan {
                key: vec!["id".into()],
                regenerate_key: true,
                update: None
            }
        );
    }
    let mut composite = goods();
    composite.primary_key.push("name".into());
    let mut text = goods();
    text.primary_key = vec!["name".into()];
    let mut unnumbered = goods();
    unnumbered.columns[0].generation = Generation::None;
    let mut absent = goods();
    absent.primary_key = vec!["nothing".into()];
    for (local, reason) in [
        (composite, "its key has 2 columns"),
        (text, "\"name\" is not an integer"),
        (unnumbered, "does not number its key column \"id\""),
        (absent, "\"nothing\" does not exist"),
    ] {
        let text = invalid("append", &goods(), &local);
        assert!(
            text.contains(reason) && text.contains("\"goods\""),
            "{text}"
        );
    }
}

#[test]
fn unknown_strategies_and_parameters_are_refused() {
    let error = plan("newest\u{1b}[2J", &[], &goods(), &goods()).unwrap_err();
    let Error::NotFound(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("skip, overwrite, merge, append") && !text.contains('\u{1b}'),
        "{text}"
    );

    let error = plan(
        "skip",
        &[("column".into(), "secret".into())],
        &goods(),
        &goods(),
    )
    .unwrap_err();
    let Error::Invalid(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("\"column\"") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn no_strategy_is_row_by_row() {
    assert!(matches!(not_row_by_row("merge"), Error::Invalid(_)));
    assert!(matches!(not_row_by_row("newest"), Error::NotFound(_)));
}

fn schemas() -> impl Generate<Value = TableSchema> {
    let generation = prop_oneof![
        Just(Generation::None),
        Just(Generation::Computed),
        Just(Generation::IdentityAlways),
        Just(Generation::IdentityDefault),
        Just(Generation::Other("new".into())),
    ];
    let logical = prop_oneof![Just(LogicalType::Integer), Just(LogicalType::Text)];
    let columns = prop::collection::vec(("[a-d]", logical, generation), 0..5);
    (columns, prop::collection::vec("[a-e]", 0..3)).prop_map(|(columns, primary_key)| TableSchema {
        table: "t".into(),
        columns: columns
            .into_iter()
            .map(|(name, logical, generation)| column(&name, logical, generation))
            .collect(),
        primary_key,
        unique_keys: vec![],
        foreign_keys: vec![],
        enums: Vec::new(),
    })
}

proptest! {
    /// For any two schemas, a plan names only columns that arrive, and changes no key.
    #[test]
    fn plans_name_only_columns_that_arrive(incoming in schemas(), local in schemas(), index in 0_usize..4) {
        let Ok(plan) = plan(Strategy::ALL[index].name(), &[], &incoming, &local) else { return Ok(()) };
        prop_assert_eq!(&plan.key, &local.primary_key);
        let updated = plan.update.iter().flat_map(|update| &update.columns).map(|rule| &rule.column);
        for name in plan.key.iter().chain(updated.clone()) {
            prop_assert!(is_sent(name, &incoming), "{} does not arrive", name);
        }
        for name in updated {
            prop_assert!(!plan.key.contains(name));
        }
    }
}

#[test]
fn a_unique_key_without_null_identifies_rows_where_there_is_no_primary_key() {
    let mut table = goods();
    table.primary_key.clear();
    for name in ["name", "price", "total", "id"] {
        table.unique_keys.push(vec![name.into()]);
    }
    table.unique_keys.push(vec!["price".into(), "name".into()]);
    assert!(invalid("overwrite", &table, &table).contains("nor a unique key"));
    for name in ["name", "price", "total"] {
        let mut columns = table.columns.iter_mut();
        columns.find(|column| column.name == name).unwrap().nullable = false;
        // A computed column does not arrive.
        for strategy in ["skip", "overwrite", "merge"] {
            let plan = plan(strategy, &[], &table, &table).unwrap();
            assert_eq!(plan.key, ["name"], "{strategy}");
        }
    }
    let plan = plan("overwrite", &[], &table, &table).unwrap();
    let names: Vec<_> = rules(&plan).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["id", "price"]);
    // The smallest key, and not the first one.
    table.unique_keys = vec![vec!["price".into(), "name".into()], vec!["price".into()]];
    let plan = super::plan("merge", &[], &table, &table).unwrap();
    assert_eq!(plan.key, ["price"]);
}
