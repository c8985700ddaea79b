//! Checks many cases of one kind, and says which of them fail: not the first alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Checks each case; fails with the names and the messages of all that fail.
pub fn check_each<T>(
    cases: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> String,
    check: impl Fn(T),
) {
    let mut failed = Vec::new();
    for case in cases {
        let name = name(&case);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(case))) {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            failed.push(format!("{name}: {}", message.unwrap_or_default()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} cases fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
