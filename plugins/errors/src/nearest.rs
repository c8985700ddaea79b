//! The name that somebody may have meant.

/// Names that are longer are not compared.
const MAX_CHARACTERS: usize = 100;

/// Returns the candidate that is nearest to a name that does not exist; none if all are too different: of three characters,
/// one may differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    if wanted.len() > MAX_CHARACTERS {
        return None;
    }
    let limit = wanted.len().div_ceil(3);
    let distances = candidates.into_iter().filter_map(|candidate| {
        let characters: Vec<char> = candidate.to_lowercase().chars().collect();
        let comparable = characters.len().abs_diff(wanted.len()) <= limit;
        let distance = comparable.then(|| distance(&wanted, &characters))?;
        (distance <= limit).then_some((distance, candidate))
    });
    distances.min().map(|(_, candidate)| candidate)
}

/// Returns how many characters have to be inserted, removed, replaced or swapped with the next one.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (row, &sign) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut left = None;
        for (column, &against) in other.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(sign != against);
            let removed = at(&last, column + 1) + 1;
            let inserted = at(&current, column) + 1;
            let mut least = replaced.min(removed).min(inserted);
            if previous == Some(against) && left == Some(sign) && column > 0 {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
            left = Some(against);
        }
        before = std::mem::replace(&mut last, current);
        previous = Some(sign);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_has_a_nearest_name() {
        let names = ["orders", "order_items", "customers"];
        for (typed, expected) in [
            ("ordres", Some("orders")),
            ("order", Some("orders")),
            ("Orders", Some("orders")),
            ("customer", Some("customers")),
            ("ordersitems", Some("order_items")),
            ("products", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
        assert_eq!(nearest("skpi", ["skip", "merge"]), Some("skip"));
        assert_eq!(nearest(&"x".repeat(1_000), names), None);
    }
}
