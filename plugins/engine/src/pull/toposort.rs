//! The sequence in which tables are written: a table comes after those that its foreign keys refer to.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::types::ForeignKey;

/// How a database compares table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCase {
    /// Byte by byte, as PostgreSQL does.
    Sensitive,
    /// Without regard to ASCII case, as SQLite does.
    Insensitive,
}

impl NameCase {
    fn fold(self, name: &str) -> String {
        match self {
            Self::Sensitive => name.to_owned(),
            Self::Insensitive => name.to_ascii_lowercase(),
        }
    }

    /// Returns whether a table has a foreign key to itself.
    pub fn refers_to_itself(self, table: &str, keys: &[ForeignKey]) -> bool {
        let own = self.fold(table);
        keys.iter()
            .any(|key| self.fold(&key.referenced_table) == own)
    }
}

/// One table with its foreign keys.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub table: &'a str,
    /// The foreign keys in the target; each of them decides.
    pub local_keys: &'a [ForeignKey],
    /// The foreign keys at the peer; they decide where they close no cycle.
    pub remote_keys: &'a [ForeignKey],
}

/// Returns the positions of the tables in the sequence. Where no key decides, names do.
///
/// Fails with the tables of a cycle of local foreign keys: each refers to the next, and the first is also the last.
pub fn sort(nodes: &[Node<'_>], case: NameCase) -> Result<Vec<usize>, Vec<String>> {
    let mut waiting = Waiting::new(nodes, case);
    let mut sequence = Vec::with_capacity(nodes.len());
    while sequence.len() < nodes.len() {
        let next = match waiting.ready.first() {
            Some((_, position)) => *position,
            None => waiting
                .breaking_remote_key()
                .ok_or_else(|| waiting.cycle(nodes))?,
        };
        waiting.remove(next, nodes);
        sequence.push(next);
    }
    Ok(sequence)
}

/// Tables by name, each with its position.
type ByName<'a> = BTreeSet<(&'a str, usize)>;

/// The tables that are not in the sequence yet.
struct Waiting<'a> {
    all: ByName<'a>,
    /// Those without a local foreign key to another waiting table.
    free: ByName<'a>,
    /// Those without any foreign key to another waiting table.
    ready: ByName<'a>,
    /// The waiting tables that each table refers to by local foreign keys.
    local_parents: Vec<BTreeSet<usize>>,
    /// The waiting tables that each table refers to by any foreign key.
    parents: Vec<BTreeSet<usize>>,
    /// The tables that refer to each table.
    children: Vec<BTreeSet<usize>>,
}

impl<'a> Waiting<'a> {
    fn new(nodes: &[Node<'a>], case: NameCase) -> Self {
        let positions: BTreeMap<String, usize> = nodes
            .iter()
            .enumerate()
            .map(|(position, node)| (case.fold(node.table), position))
            .collect();
        let referenced = |own: usize, keys: &[ForeignKey]| -> BTreeSet<usize> {
            keys.iter()
                .filter_map(|key| positions.get(&case.fold(&key.referenced_table)).copied())
                .filter(|parent| *parent != own)
                .collect()
        };
        let mut waiting = Self {
            all: BTreeSet::new(),
            free: BTreeSet::new(),
            ready: BTreeSet::new(),
            local_parents: Vec::with_capacity(nodes.len()),
            parents: Vec::with_capacity(nodes.len()),
            children: vec![BTreeSet::new(); nodes.len()],
        };
        for (own, node) in nodes.iter().enumerate() {
            let local_parents = referenced(own, node.local_keys);
            let mut parents = referenced(own, node.remote_keys);
            parents.extend(&local_parents);
            for parent in &parents {
                if let Some(children) = waiting.children.get_mut(*parent) {
                    children.insert(own);
                }
            }
            waiting.local_parents.push(local_parents);
            waiting.parents.push(parents);
            waiting.all.insert((node.table, own));
            waiting.place(own, node.table);
        }
        waiting
    }

    /// Removes a table; others may become free or ready.
    fn remove(&mut self, position: usize, nodes: &[Node<'a>]) {
        if let Some(node) = nodes.get(position) {
            for set in [&mut self.all, &mut self.free, &mut self.ready] {
                set.remove(&(node.table, position));
            }
        }
        let children = self.children.get_mut(position).map(std::mem::take);
        for child in children.unwrap_or_default() {
            for parents in [&mut self.local_parents, &mut self.parents] {
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
        if self.all.contains(&own) && none(&self.local_parents) {
            self.free.insert(own);
            if none(&self.parents) {
                self.ready.insert(own);
            }
        }
    }

    /// Returns the table to write next although a remote foreign key says otherwise, where every waiting table is in a cycle
    /// or behind one; none if only local keys are in the way.
    fn breaking_remote_key(&self) -> Option<usize> {
        let (_, first) = self.all.first()?;
        let cycle: BTreeSet<usize> = walk(*first, &self.parents).into_iter().collect();
        // A table in the cycle breaks it; one behind the cycle would break a key and leave the cycle.
        let mut free = self.free.iter();
        let breaking = free.find(|(_, position)| cycle.contains(position));
        breaking
            .or_else(|| self.free.first())
            .map(|(_, position)| *position)
    }

    /// Returns the tables of a cycle of local keys, where every waiting table is in one or behind it.
    fn cycle(&self, nodes: &[Node<'a>]) -> Vec<String> {
        let first = self.all.first().map(|(_, position)| *position);
        let cycle = first.map(|first| walk(first, &self.local_parents));
        let table = |position: usize| nodes.get(position).map(|node| node.table.to_owned());
        cycle
            .unwrap_or_default()
            .into_iter()
            .filter_map(table)
            .collect()
    }
}

/// Goes from parent to parent until a table occurs again. Returns the cycle with that table at both ends.
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

    fn node<'a>(
        table: &'a str,
        local_keys: &'a [ForeignKey],
        remote_keys: &'a [ForeignKey],
    ) -> Node<'a> {
        Node {
            table,
            local_keys,
            remote_keys,
        }
    }

    fn named<'a>(nodes: &[Node<'a>], case: NameCase) -> Vec<&'a str> {
        let sequence = sort(nodes, case).unwrap();
        sequence.iter().map(|at| nodes[*at].table).collect()
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
        assert_eq!(named(&nodes, NameCase::Sensitive), ["c", "z", "b", "a"]);
    }

    #[test]
    fn a_cycle_of_local_keys_is_named() {
        let (to_a, to_b, to_c) = ([key("a")], [key("b")], [key("c")]);
        let nodes = [
            node("a", &to_b, &[]),
            node("b", &to_c, &[]),
            node("c", &to_a, &[]),
        ];
        let cycle = sort(&nodes, NameCase::Sensitive).unwrap_err();
        assert_eq!(cycle, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_cycle_of_remote_keys_breaks_one_of_them() {
        let (to_b, to_c) = ([key("b")], [key("c")]);
        let nodes = [
            // Behind the cycle, and first by its name.
            node("a", &[], &to_b),
            node("b", &[], &to_c),
            node("c", &[], &to_b),
        ];
        assert_eq!(named(&nodes, NameCase::Sensitive), ["b", "a", "c"]);
        // A local key decides which remote key is broken.
        let nodes = [node("b", &to_c, &[]), node("c", &[], &to_b)];
        assert_eq!(named(&nodes, NameCase::Sensitive), ["c", "b"]);
    }

    #[test]
    fn a_table_can_refer_to_itself_and_to_tables_that_do_not_arrive() {
        let keys = [key("a"), key("elsewhere")];
        let alone = [node("a", &keys, &[])];
        assert_eq!(named(&alone, NameCase::Sensitive), ["a"]);
        assert!(NameCase::Sensitive.refers_to_itself("a", &keys));
        assert!(!NameCase::Sensitive.refers_to_itself("A", &keys));
    }

    #[test]
    fn names_are_compared_as_the_database_does() {
        let to_parent = [key("PARENT")];
        let nodes = [node("child", &to_parent, &[]), node("parent", &[], &[])];
        assert_eq!(named(&nodes, NameCase::Insensitive), ["parent", "child"]);
        assert_eq!(named(&nodes, NameCase::Sensitive), ["child", "parent"]);
        assert!(NameCase::Insensitive.refers_to_itself("Parent", &to_parent));
    }

    proptest! {
        #[test]
        fn every_sequence_respects_every_local_key(
            local in proptest::collection::vec((0usize..12, 0usize..12), 0..25),
            remote in proptest::collection::vec((0usize..12, 0usize..12), 0..25),
        ) {
            let tables: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
            let keys = |pairs: &[(usize, usize)]| {
                let mut keys = vec![Vec::new(); 12];
                for (from, to) in pairs {
                    keys[*from].push(key(&tables[*to]));
                }
                keys
            };
            let (local_keys, remote_keys) = (keys(&local), keys(&remote));
            let nodes: Vec<Node> = (0..12).map(|at| node(&tables[at], &local_keys[at], &remote_keys[at])).collect();
            match sort(&nodes, NameCase::Sensitive) {
                Ok(sequence) => {
                    prop_assert_eq!(sequence.iter().collect::<BTreeSet<_>>().len(), 12);
                    let place = |table: usize| sequence.iter().position(|at| *at == table).unwrap();
                    for (from, to) in local {
                        prop_assert!(from == to || place(to) < place(from));
                    }
                }
                Err(cycle) => {
                    prop_assert!(cycle.len() > 2);
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        let from = tables.iter().position(|name| *name == pair[0]).unwrap();
                        prop_assert!(local_keys[from].iter().any(|key| key.referenced_table == pair[1]));
                    }
                }
            }
        }

        #[test]
        fn without_cycles_every_key_is_respected(
            pairs in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
        ) {
            let tables: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
            let mut remote_keys = vec![Vec::new(); 12];
            // Keys from a lower to a higher number only make no cycle.
            let pairs: Vec<_> = pairs.into_iter().filter(|(from, to)| from < to).collect();
            for (from, to) in &pairs {
                remote_keys[*from].push(key(&tables[*to]));
            }
            let nodes: Vec<Node> = (0..12).map(|at| node(&tables[at], &[], &remote_keys[at])).collect();
            let sequence = sort(&nodes, NameCase::Sensitive).unwrap();
            let place = |table: usize| sequence.iter().position(|at| *at == table).unwrap();
            for (from, to) in pairs {
                prop_assert!(place(to) < place(from));
            }
        }
    }
}
