# Conveniences; nothing needs them.

# All tests.
test:
    cargo test --workspace

# What the CI checks before the tests.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Figures against the real tools, in minutes; a case or several by name: `just bench pg-new --rows 100000`.
bench *ARGS:
    cargo bench --package tombolo --bench transfer -- {{ARGS}}

# Two sites on this machine, one code, a real transfer.
demo:
    cargo run --release -- demo

# One plugin with plain cargo, the main path: `just plugin tombolo-rules`.
plugin NAME:
    cargo build --package {{NAME}} --lib --target wasm32-wasip2 --profile guest --target-dir target/guest
    @sha256sum target/guest/wasm32-wasip2/guest/{{replace(NAME, "-", "_")}}.wasm

# The same with cargo-component, for authors who use it: `just plugin-cc tombolo-rules`.
plugin-cc NAME:
    @cargo component --version >/dev/null 2>&1 || { echo "cargo-component is missing: cargo install cargo-component --locked" >&2; exit 1; }
    cargo component build --package {{NAME}} --target wasm32-wasip2 --profile guest --target-dir target/component

# Fuzzes `frames` or `values` for ten minutes (docs/testing.md): `just fuzz frames`.
fuzz TARGET SECONDS="600":
    @cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
    cd fuzz && cargo +nightly fuzz run --sanitizer none {{TARGET}} -- -max_total_time={{SECONDS}} -max_len=4096 -rss_limit_mb=4096

# 400 times `kill -9` of the sender, the receiver or the database server in the middle of a run (docs/testing.md).
torture KILLS="400":
    TOMBOLO_REQUIRE_POSTGRES=1 TOMBOLO_KILLS={{KILLS}} cargo test -p tombolo --test end_to_end -- reliability::kills:: --nocapture
