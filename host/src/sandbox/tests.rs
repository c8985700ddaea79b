//! Loading here, calls in `causes`; components that real compilers made hostile are tested end to end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wasmtime::component::Component;

use super::component::CONTRACT;
use super::*;

mod causes;
mod compiling;

fn sandbox(limits: Limits) -> Sandbox {
    Sandbox::new(limits).unwrap()
}

fn plugin(sandbox: &Sandbox, text: &str) -> Plugin {
    let component = Component::new(&sandbox.inner().engine, text).unwrap();
    Plugin::new("test", Digest::of(text.as_bytes()), component)
}

async fn new_code(limits: Limits) -> Result<String, Cause> {
    let sandbox = sandbox(limits);
    let rules = sandbox.standard_rules().await.unwrap();
    let rules = SessionRules::new(&sandbox, &rules).unwrap();
    match rules.new_code(&[7; 256]).await.outcome {
        Ok(code) => Ok(code.unwrap()),
        Err(SandboxError::Call {
            cause,
            plugin,
            digest,
            function,
            ..
        }) => {
            assert_eq!(
                (plugin.as_str(), digest.len(), function),
                ("standard rules", 12, "sessions.new-code")
            );
            Err(cause)
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn each_limit_has_its_own_cause() {
    assert_eq!(new_code(Limits::default()).await.unwrap().len(), 8);
    let fuel = Limits {
        fuel: 1_000,
        ..Limits::default()
    };
    assert_eq!(new_code(fuel).await, Err(Cause::OutOfFuel { fuel: 1_000 }));
}

#[tokio::test]
async fn all_memories_count_together() {
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    match new_code(limits).await {
        Err(Cause::OutOfMemory { wanted, limit }) => assert!(wanted > limit),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_digest_is_refused_before_anything_is_compiled() {
    let sandbox = sandbox(Limits::default());
    let pinned = Digest::of(b"something else");
    let error = sandbox
        .load("p", b"not a component".to_vec(), Some(pinned))
        .await
        .err()
        .unwrap();
    assert!(error.is_wrong_digest(), "{error}");
    let error = sandbox
        .load("p", b"not a component".to_vec(), None)
        .await
        .err()
        .unwrap();
    assert!(
        !error.is_wrong_digest() && error.to_string().contains("no valid component"),
        "{error}"
    );
    let digest = Digest::of(b"not a component").prefix();
    assert!(error.to_string().contains(&digest), "{error}");
}

#[tokio::test]
async fn a_large_file_is_refused() {
    let sandbox = sandbox(Limits {
        component_bytes: 10,
        ..Limits::default()
    });
    let error = sandbox.load("p", vec![0; 11], None).await.err().unwrap();
    assert!(error.to_string().contains("11 bytes"), "{error}");
}

#[tokio::test]
async fn all_imports_that_are_not_offered_are_named_at_once() {
    let sandbox = sandbox(Limits::default());
    let plugin = plugin(
        &sandbox,
        r#"(component
            (import "wasi:filesystem/types@0.2.6" (instance (export "f" (func))))
            (import "wasi:io/poll@0.2.6" (instance (export "f" (func))))
            (import "tombolo:sync/state@0.1.0" (instance (export "f" (func))))
            (import "tombolo:sync/types@0.1.0" (instance)))"#,
    );
    let error = plugin.check(Role::Sessions).unwrap_err().to_string();
    assert!(
        error.contains("wasi:filesystem/types@0.2.6, tombolo:sync/state@0.1.0"),
        "{error}"
    );
    assert!(error.contains("wasm32-wasip2"), "{error}");
    assert!(!error.contains("wasi:io"), "{error}");
}

#[tokio::test]
async fn a_role_needs_its_exports() {
    let sandbox = sandbox(Limits::default());
    let rules = sandbox.standard_rules().await.unwrap();
    let error = rules.check(Role::Engine).unwrap_err().to_string();
    assert!(error.contains("tombolo:sync/peers"), "{error}");
    for role in [Role::Sessions, Role::Conflicts, Role::Ddl] {
        rules.check(role).unwrap();
        assert_eq!(role.to_string().parse(), Ok(role));
    }
}

#[tokio::test]
async fn another_version_of_the_contract_is_another_contract() {
    let sandbox = sandbox(Limits::default());
    for (version, fits) in [("0.1.0", true), ("0.1.7", true), ("0.2.0", false)] {
        let text = format!(
            r#"(component (instance $i) (export "tombolo:sync/sessions@{version}" (instance $i)))"#
        );
        let outcome = plugin(&sandbox, &text).check(Role::Sessions);
        assert_eq!(outcome.is_ok(), fits, "{version}: {outcome:?}");
    }
    assert!(
        include_str!("../../../wit/types.wit")
            .contains(&format!("package tombolo:sync@{CONTRACT};"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn strangers_bytes_are_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), component: bool) {
        if component {
            bytes.splice(0..0, *b"\0asm\x0d\0\x01\0");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sandbox = sandbox(Limits::default());
        let loaded = runtime.block_on(sandbox.load("p", bytes, None));
        if let Ok(plugin) = loaded {
            prop_assert!(plugin.check(Role::Sessions).is_err());
        }
    }
}
