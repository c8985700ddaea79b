//! In which order tables are taken in: what a foreign key refers to comes first.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::tombolo::sync::types::ForeignKey;

/// One table and what it refers to.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub table: &'a str,
    /// Foreign keys that exist on this side: they must be respected.
    pub here: &'a [ForeignKey],
    /// Foreign keys at the peer: respected where that is possible.
    pub there: &'a [ForeignKey],
}

impl Node<'_> {
    /// Whether the table refers to itself on this side.
    pub fn refers_to_itself(&self) -> bool {
        self.here
            .iter()
            .any(|key| key.referenced_table == self.table)
    }
}

/// The tables' positions in the order to take them in, or the tables of a cycle, in its order.
pub fn sort(nodes: &[Node<'_>]) -> Result<Vec<usize>, Vec<String>> {
    let all = edges(nodes, |node| node.here.iter().chain(node.there).collect());
    if let Ok(order) = topological(nodes, &all) {
        return Ok(order);
    }
    // Only keys that exist here can be violated.
    let hard = edges(nodes, |node| node.here.iter().collect());
    topological(nodes, &hard)
}

type Edges = Vec<BTreeSet<usize>>;

fn edges<'a>(nodes: &[Node<'a>], keys: impl Fn(&Node<'a>) -> Vec<&'a ForeignKey>) -> Edges {
    let positions: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.table, position))
        .collect();
    nodes
        .iter()
        .enumerate()
        .map(|(own, node)| {
            keys(node)
                .iter()
                .filter_map(|key| positions.get(key.referenced_table.as_str()).copied())
                .filter(|parent| *parent != own)
                .collect()
        })
        .collect()
}

/// Takes, again and again, the first table by name whose parents are all taken.
fn topological(nodes: &[Node<'_>], parents: &Edges) -> Result<Vec<usize>, Vec<String>> {
    let mut waiting: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.table, position))
        .collect();
    let mut taken = BTreeSet::new();
    let mut order = Vec::with_capacity(nodes.len());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .find(|(_, position)| {
                parents
                    .get(**position)
                    .is_some_and(|all| all.is_subset(&taken))
            })
            .map(|(name, position)| (*name, *position));
        let Some((name, position)) = ready else {
            return Err(cycle(&waiting, nodes, parents));
        };
        waiting.remove(name);
        taken.insert(position);
        order.push(position);
    }
    Ok(order)
}

/// Walks from parent to parent among tables that all wait, until one comes again.
fn cycle(waiting: &BTreeMap<&str, usize>, nodes: &[Node<'_>], parents: &Edges) -> Vec<String> {
    let stuck: BTreeSet<usize> = waiting.values().copied().collect();
    let mut path: Vec<usize> = Vec::new();
    let mut at = stuck.first().copied();
    while let Some(position) = at {
        if let Some(start) = path.iter().position(|seen| *seen == position) {
            path = path.split_off(start);
            path.push(position);
            break;
        }
        path.push(position);
        at = parents
            .get(position)
            .and_then(|all| all.intersection(&stuck).next().copied());
    }
    path.iter()
        .filter_map(|position| nodes.get(*position))
        .map(|node| node.table.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn key(to: &str) -> ForeignKey {
        ForeignKey {
            columns: vec!["c".to_owned()],
            referenced_table: to.to_owned(),
            referenced_columns: Vec::new(),
        }
    }

    fn node<'a>(table: &'a str, here: &'a [ForeignKey], there: &'a [ForeignKey]) -> Node<'a> {
        Node { table, here, there }
    }

    #[test]
    fn parents_come_first_and_names_decide_the_rest() {
        let (to_b, to_z) = ([key("b")], [key("z")]);
        let nodes = [
            node("a", &to_b, &[]),
            node("b", &[], &to_z),
            node("c", &[], &[]),
            node("z", &[], &[]),
        ];
        let order: Vec<&str> = sort(&nodes)
            .unwrap()
            .iter()
            .map(|at| nodes[*at].table)
            .collect();
        assert_eq!(order, ["c", "z", "b", "a"]);
    }

    #[test]
    fn a_cycle_here_is_named_and_a_cycle_there_is_not_one() {
        let (to_a, to_b, to_c) = ([key("a")], [key("b")], [key("c")]);
        let here = [
            node("a", &to_b, &[]),
            node("b", &to_c, &[]),
            node("c", &to_a, &[]),
        ];
        assert_eq!(sort(&here).unwrap_err(), ["a", "b", "c", "a"]);
        let there = [node("a", &[], &to_b), node("b", &[], &to_a)];
        assert_eq!(sort(&there).unwrap().len(), 2);
    }

    #[test]
    fn a_table_may_refer_to_itself_and_to_others_that_do_not_come() {
        let keys = [key("a"), key("elsewhere")];
        let alone = [node("a", &keys, &[])];
        assert_eq!(sort(&alone).unwrap(), [0]);
        assert!(alone[0].refers_to_itself());
    }

    proptest! {
        #[test]
        fn every_order_respects_every_key(pairs in proptest::collection::vec((0usize..12, 0usize..12), 0..30)) {
            let names: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
            let mut keys = vec![Vec::new(); 12];
            for (from, to) in &pairs {
                keys[*from].push(key(&names[*to]));
            }
            let nodes: Vec<Node> = names.iter().zip(&keys).map(|(name, keys)| node(name, keys, &[])).collect();
            match sort(&nodes) {
                Ok(order) => {
                    prop_assert_eq!(order.len(), 12);
                    let place = |table: usize| order.iter().position(|at| *at == table).unwrap();
                    for (from, to) in pairs {
                        prop_assert!(from == to || place(to) < place(from));
                    }
                }
                Err(cycle) => {
                    prop_assert!(cycle.len() > 2);
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        let from = names.iter().position(|name| *name == pair[0]).unwrap();
                        prop_assert!(keys[from].iter().any(|key| key.referenced_table == pair[1]));
                    }
                }
            }
        }
    }
}
