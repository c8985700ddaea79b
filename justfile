# Shortcuts. Everything works without them.

# Runs everything that a change has to pass.
ci:
    bash .ci/run

# Runs all tests.
test:
    cargo test --workspace

# Formats all packages.
fmt:
    cargo fmt --all

# Checks formatting and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Builds the documentation of the libraries; warnings are errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Checks licences, versions and sources of the dependencies (deny.toml).
deny:
    @cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1; }
    cargo deny --locked check licenses bans sources

# Measures against real tools, all cases or those named: `just bench pg-new --rows 100000`.
bench *ARGS:
    cargo bench --package tombolo --bench transfer -- {{ARGS}}

# Transfers a generated shop between two sites on this machine.
demo:
    cargo run --release -- demo

# Builds one plugin with plain cargo and prints its digest: `just plugin tombolo-rules`.
plugin NAME:
    cargo build --package {{NAME}} --lib --target wasm32-wasip2 --profile guest --target-dir target/guest
    @sha256sum target/guest/wasm32-wasip2/guest/{{replace(NAME, "-", "_")}}.wasm

# Builds the same with cargo-component: `just plugin-cc tombolo-rules`.
plugin-cc NAME:
    @cargo component --version >/dev/null 2>&1 || { echo "cargo-component is missing: cargo install cargo-component --locked" >&2; exit 1; }
    cargo component build --package {{NAME}} --target wasm32-wasip2 --profile guest --target-dir target/component

# Fuzzes `frames` or `values` for ten minutes, or as long as given (docs/testing.md): `just fuzz values 60`.
fuzz TARGET SECONDS="600":
    @cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
    cd fuzz && cargo +nightly fuzz run --sanitizer none {{TARGET}} -- -max_total_time={{SECONDS}} -max_len=4096 -rss_limit_mb=4096

# Runs all tests, and lists the names that their PostgreSQL statements use (docs/testing.md).
statement-names:
    #!/usr/bin/env bash
    set -euo pipefail
    export TOMBOLO_REQUIRE_POSTGRES=1 TOMBOLO_TEST_STATEMENTS=$(mktemp -d)
    trap 'rm -rf "$TOMBOLO_TEST_STATEMENTS"' EXIT
    chmod 755 "$TOMBOLO_TEST_STATEMENTS"
    cargo test --workspace
    TOMBOLO_RECORD_NAMES=1 cargo test --package tombolo --test end_to_end -- --ignored statements_use_listed_names

# Kills the sender, the receiver or the database server in the middle of a run, 400 times (docs/testing.md).
torture KILLS="400":
    TOMBOLO_REQUIRE_POSTGRES=1 TOMBOLO_KILLS={{KILLS}} cargo test -p tombolo --test end_to_end -- reliability::kills:: --nocapture
