//! What the compiler is given, and what its failures are called.

use super::super::component::{Uncompiled, uncompiled};
use super::super::engine::compile;
use super::*;
use crate::bindings::types::Failure;

/// A component of two, each with a memory of its own: a text is copied from one to the other.
const COMPOSED: &str = r#"(component
  (component $inner
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
      (func (export "f") (param i32 i32) (result i32) local.get 1))
    (core instance $i (instantiate $m))
    (func (export "f") (param "text" string) (result u32)
      (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
  (component $outer
    (import "f" (func $f (param "text" string) (result u32)))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $lowered (canon lower (func $f) (memory (core memory $memory "memory"))))
    (core module $code
      (import "host" "f" (func $f (param i32 i32) (result i32)))
      (func (export "g") (result i32) (call $f (i32.const 0) (i32.const 5))))
    (core instance $code (instantiate $code (with "host" (instance (export "f" (func $lowered))))))
    (func (export "g") (result u32) (canon lift (core func $code "g"))))
  (instance $in (instantiate $inner))
  (instance $out (instantiate $outer (with "f" (func $in "f"))))
  (export "g" (func $out "g")))"#;

async fn load(text: &str) -> Result<Plugin, LoadError> {
    let sandbox = sandbox(Limits::default());
    let bytes = wat::parse_str(text).unwrap();
    sandbox.load("p", bytes, None).await
}

#[tokio::test]
async fn a_component_that_was_composed_of_two_is_compiled() {
    let error = load(COMPOSED)
        .await
        .map(|plugin| plugin.check(Role::Sessions));
    let error = error.unwrap().unwrap_err().to_string();
    assert!(error.contains("does not export"), "{error}");
}

#[tokio::test]
async fn features_that_are_switched_off_are_refused() {
    for (refused, why) in [
        // Not by the limits of the slots: by the validation.
        ("(core module (memory 1) (memory 1))", "multiple memories"),
        (
            "(core module (import \"a\" \"m\" (memory 1)) (memory 1))",
            "multiple memories",
        ),
        ("(core module (memory i64 1))", "memory64"),
        ("(core module (memory 1 1 shared))", "threads"),
        (
            "(core module (func (result i32) (return_call 0)))",
            "tail calls",
        ),
        ("(core module (type (struct (field i32))))", "gc"),
        ("(core module (tag))", "exceptions"),
    ] {
        let error = load(&format!("(component {refused})")).await.err().unwrap();
        let error = error.to_string();
        assert!(
            error.contains("it is no valid component") && error.contains(why),
            "{refused}: {error}"
        );
    }
}

#[test]
fn a_panic_of_the_compiler_is_an_error_of_the_component() {
    #[allow(clippy::panic, reason = "on purpose")]
    let compiled = compile(|| panic!("invalid adapter \u{1b}[31mmodule"));
    let expected = "the compiler failed on this component: invalid adapter  [31mmodule";
    assert_eq!(
        compiled.err(),
        Some(Uncompiled::Component(expected.to_owned()))
    );
}

#[test]
fn memory_that_cannot_be_made_executable_is_no_fault_of_the_component() {
    let denied = std::io::Error::from_raw_os_error(13);
    let error = wasmtime::Error::new(denied).context("unable to make memory executable");
    let Uncompiled::NotExecutable(reason) = uncompiled(&error) else {
        panic!("{error:?}");
    };
    let digest = Digest::of(b"");
    let failure = Failure::from(LoadError::not_executable("p", digest, &reason));
    assert_eq!(failure.code, "internal");
    assert!(
        failure.message.contains("make memory executable"),
        "{failure:?}"
    );
    assert!(!failure.message.contains("valid component"), "{failure:?}");
    assert!(
        failure.hint.contains("MemoryDenyWriteExecute"),
        "{failure:?}"
    );
}
