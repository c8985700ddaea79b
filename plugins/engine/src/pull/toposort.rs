//! In which order tables are taken in: what a foreign key refers to comes first.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::types::ForeignKey;

/// How a database compares the names of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As they are written (PostgreSQL's catalogue).
    Exact,
    /// Without regard to ASCII case (SQLite, which keeps a foreign key's table as somebody wrote it).
    IgnoreCase,
}

impl Names {
    fn fold(self, name: &str) -> String {
        match self {
            Self::Exact => name.to_owned(),
            Self::IgnoreCase => name.to_ascii_lowercase(),
        }
    }

    /// Whether a table has a foreign key to itself.
    pub fn refers_to_itself(self, table: &str, keys: &[ForeignKey]) -> bool {
        let own = self.fold(table);
        keys.iter()
            .any(|key| self.fold(&key.referenced_table) == own)
    }
}

/// One table and what it refers to.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub table: &'a str,
    /// Foreign keys that exist on this side: they must be respected.
    pub here: &'a [ForeignKey],
    /// Foreign keys at the peer: respected where they close no cycle.
    pub there: &'a [ForeignKey],
}

/// The tables' positions in the order to take them in, or the tables of a cycle of foreign keys here, in its order. Names
/// decide where keys don't.
pub fn sort(nodes: &[Node<'_>], names: Names) -> Result<Vec<usize>, Vec<String>> {
    let mut waiting = Waiting::new(nodes, names);
    let mut instruction = Vec::with_capacity(nodes.len());
    while instruction.len() < nodes.len() {
        let next = match waiting.ready.first() {
            Some((_, position)) => *position,
            None => waiting.least_bound().ok_or_else(|| waiting.cycle(nodes))?,
        };
        waiting.take(next, nodes);
        instruction.push(next);
    }
    Ok(instruction)
}

/// Tables by name, each with its position.
type ByName<'a> = BTreeSet<(&'a str, usize)>;

/// The tables that are not in the order yet.
struct Waiting<'a> {
    all: ByName<'a>,
    /// Those that wait for no other by a foreign key here.
    free: ByName<'a>,
    /// Those that wait for no other at all.
    ready: ByName<'a>,
    /// Which tables each still waits for, by foreign keys here.
    hard: Vec<BTreeSet<usize>>,
    /// Which tables each still waits for, by any foreign key.
    parents: Vec<BTreeSet<usize>>,
    /// Which tables refer to each.
    children: Vec<BTreeSet<usize>>,
}

impl<'a> Waiting<'a> {
    fn new(nodes: &[Node<'a>], names: Names) -> Self {
        let positions: BTreeMap<String, usize> = nodes
            .iter()
            .enumerate()
            .map(|(position, node)| (names.fold(node.table), position))
            .collect();
        let referenced = |own: usize, keys: &[ForeignKey]| -> BTreeSet<usize> {
            keys.iter()
                .filter_map(|key| positions.get(&names.fold(&key.referenced_table)).copied())
                .filter(|parent| *parent != own)
                .collect()
        };
        let mut waiting = Self {
            all: BTreeSet::new(),
            free: BTreeSet::new(),
            ready: BTreeSet::new(),
            hard: Vec::with_capacity(nodes.len()),
            parents: Vec::with_capacity(nodes.len()),
            children: vec![BTreeSet::new(); nodes.len()],
        };
        for (own, node) in nodes.iter().enumerate() {
            let hard = referenced(own, node.here);
            let mut parents = referenced(own, node.there);
            parents.extend(&hard);
            for parent in &parents {
                if let Some(children) = waiting.children.get_mut(*parent) {
                    children.insert(own);
                }
            }
            waiting.hard.push(hard);
            waiting.parents.push(parents);
            waiting.all.insert((node.table, own));
            waiting.place(own, node.table);
        }
        waiting
    }

    /// Takes a table out: others may wait for nothing else.
    fn take(&mut self, position: usize, nodes: &[Node<'a>]) {
        if let Some(node) = nodes.get(position) {
            for set in [&mut self.all, &mut self.free, &mut self.ready] {
                set.remove(&(node.table, position));
            }
        }
        let children = self.children.get_mut(position).map(std::mem::take);
        for child in children.unwrap_or_default() {
            for parents in [&mut self.hard, &mut self.parents] {
                if let Some(parents) = parents.get_mut(child) {
                    parents.remove(&position);
                }
            }
            if let Some(node) = nodes.get(child) {
                self.place(child, node.table);
            }
        }
    }

    fn place(&mut self, position: usize, table: &'a str) {
        let own = (table, position);
        let none =
            |parents: &[BTreeSet<usize>]| parents.get(position).is_none_or(BTreeSet::is_empty);
        if self.all.contains(&own) && none(&self.hard) {
            self.free.insert(own);
            if none(&self.parents) {
                self.ready.insert(own);
            }
        }
    }

    /// Where all that wait are in cycles or behind them: the one to take although a key at the peer says otherwise.
    fn least_bound(&self) -> Option<usize> {
        let (_, first) = self.all.first()?;
        let cycle: BTreeSet<usize> = walk(*first, &self.parents).into_iter().collect();
        // One in a cycle breaks it; one that only comes behind it would break a key in vain.
        let mut free = self.free.iter();
        let breaking = free.find(|(_, position)| cycle.contains(position));
        breaking
            .or_else(|| self.free.first())
            .map(|(_, position)| *position)
    }

    /// The tables of a cycle of keys here, where all that wait are in one or behind it.
    fn cycle(&self, nodes: &[Node<'a>]) -> Vec<String> {
        let first = self.all.first().map(|(_, position)| *position);
        let cycle = first.map(|first| walk(first, &self.hard));
        let table = |position: usize| nodes.get(position).map(|node| node.table.to_owned());
        cycle
            .unwrap_or_default()
            .into_iter()
            .filter_map(table)
            .collect()
    }
}

/// Goes from parent to parent until a table comes again: the cycle, with that table at both ends.
fn walk(from: usize, parents: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut at = Some(from);
    while let Some(position) = at {
        if let Some(start) = places.insert(position, path.len()) {
            path = path.split_off(start);
            path.push(position);
            return path;
        }
        path.push(position);
        at = parents
            .get(position)
            .and_then(|parents| parents.first())
            .copied();
    }
    path
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

    fn named<'a>(nodes: &[Node<'a>], names: Names) -> Vec<&'a str> {
        let instruction = sort(nodes, names).unwrap();
        instruction.iter().map(|at| nodes[*at].table).collect()
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
        assert_eq!(named(&nodes, Names::Exact), ["c", "z", "b", "a"]);
    }

    #[test]
    fn a_cycle_here_is_named() {
        let (to_a, to_b, to_c) = ([key("a")], [key("b")], [key("c")]);
        let nodes = [
            node("a", &to_b, &[]),
            node("b", &to_c, &[]),
            node("c", &to_a, &[]),
        ];
        let cycle = sort(&nodes, Names::Exact).unwrap_err();
        assert_eq!(cycle, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_cycle_there_gives_way_and_nothing_else_does() {
        let (to_b, to_c) = ([key("b")], [key("c")]);
        let nodes = [
            // Behind the cycle, and first by its name.
            node("a", &[], &to_b),
            node("b", &[], &to_c),
            node("c", &[], &to_b),
        ];
        assert_eq!(named(&nodes, Names::Exact), ["b", "a", "c"]);
        // A key here decides which key there gives way.
        let nodes = [node("b", &to_c, &[]), node("c", &[], &to_b)];
        assert_eq!(named(&nodes, Names::Exact), ["c", "b"]);
    }

    #[test]
    fn a_table_may_refer_to_itself_and_to_others_that_do_not_come() {
        let keys = [key("a"), key("elsewhere")];
        let alone = [node("a", &keys, &[])];
        assert_eq!(named(&alone, Names::Exact), ["a"]);
        assert!(Names::Exact.refers_to_itself("a", &keys));
        assert!(!Names::Exact.refers_to_itself("A", &keys));
    }

    #[test]
    fn names_are_compared_as_the_database_does() {
        let to_parent = [key("PARENT")];
        let nodes = [node("child", &to_parent, &[]), node("parent", &[], &[])];
        assert_eq!(named(&nodes, Names::IgnoreCase), ["parent", "child"]);
        assert_eq!(named(&nodes, Names::Exact), ["child", "parent"]);
        assert!(Names::IgnoreCase.refers_to_itself("Parent", &to_parent));
    }

    proptest! {
        #[test]
        fn every_order_respects_every_key_here(
            here in proptest::collection::vec((0usize..12, 0usize..12), 0..25),
            there in proptest::collection::vec((0usize..12, 0usize..12), 0..25),
        ) {
            let tables: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
            let keys = |pairs: &[(usize, usize)]| {
                let mut keys = vec![Vec::new(); 12];
                for (from, to) in pairs {
                    keys[*from].push(key(&tables[*to]));
                }
                keys
            };
            let (hard, soft) = (keys(&here), keys(&there));
            let nodes: Vec<Node> = (0..12).map(|at| node(&tables[at], &hard[at], &soft[at])).collect();
            match sort(&nodes, Names::Exact) {
                Ok(instruction) => {
                    prop_assert_eq!(instruction.iter().collect::<BTreeSet<_>>().len(), 12);
                    let place = |table: usize| instruction.iter().position(|at| *at == table).unwrap();
                    for (from, to) in here {
                        prop_assert!(from == to || place(to) < place(from));
                    }
                }
                Err(cycle) => {
                    prop_assert!(cycle.len() > 2);
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        let from = tables.iter().position(|name| *name == pair[0]).unwrap();
                        prop_assert!(hard[from].iter().any(|key| key.referenced_table == pair[1]));
                    }
                }
            }
        }

        #[test]
        fn without_cycles_every_key_is_respected(
            pairs in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
        ) {
            let tables: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
            let mut soft = vec![Vec::new(); 12];
            // From a lower to a higher number only: no cycle.
            let pairs: Vec<_> = pairs.into_iter().filter(|(from, to)| from < to).collect();
            for (from, to) in &pairs {
                soft[*from].push(key(&tables[*to]));
            }
            let nodes: Vec<Node> = (0..12).map(|at| node(&tables[at], &[], &soft[at])).collect();
            let instruction = sort(&nodes, Names::Exact).unwrap();
            let place = |table: usize| instruction.iter().position(|at| *at == table).unwrap();
            for (from, to) in pairs {
                prop_assert!(place(to) < place(from));
            }
        }
    }
}
