//! What a component does, and what its caller is told.

use std::time::{Duration, Instant};

use super::super::call::{Calls, Longest};
use super::super::engine::Inner;
use super::*;

/// No limit that a test would reach.
const ANY: Longest = Longest {
    text: u64::MAX,
    list: u64::MAX,
};

/// Session rules whose `normalize` is this.
fn rules(sandbox: &Sandbox, normalize: &str) -> SessionRules {
    let text = include_str!("sessions.wat").replace("BODY)", &format!("{normalize})"));
    SessionRules::new(sandbox, &plugin(sandbox, &text)).unwrap()
}

fn failed(outcome: Result<impl std::fmt::Debug, SandboxError>) -> (Cause, String) {
    match outcome {
        Err(SandboxError::Call { cause, stderr, .. }) => (cause, stderr),
        other => panic!("{other:?}"),
    }
}

async fn normalize(limits: Limits, body: &str) -> (Cause, String) {
    let rules = rules(&sandbox(limits), body);
    failed(rules.normalize("code").await.outcome)
}

const LOOP: &str = "(loop $again (br $again)) unreachable";

#[tokio::test]
async fn a_component_that_behaves() {
    let rules = rules(&sandbox(Limits::default()), "i32.const 128");
    assert_eq!(rules.normalize("code").await.outcome.unwrap().unwrap(), "");
}

#[tokio::test]
async fn a_loop_ends_by_fuel() {
    // On a busy machine the fuel may outlast the usual time.
    let limits = Limits {
        wall_clock: Duration::from_secs(60),
        ..Limits::default()
    };
    let fuel = limits.fuel;
    let (cause, _) = normalize(limits, LOOP).await;
    assert_eq!(cause, Cause::OutOfFuel { fuel });
}

#[tokio::test]
async fn a_loop_with_fuel_ends_by_the_clock_and_lets_others_run() {
    let wall_clock = Duration::from_millis(200);
    let limits = Limits {
        fuel: u64::MAX,
        wall_clock,
        ..Limits::default()
    };
    let began = Instant::now();
    let (outcome, others) = tokio::join!(normalize(limits, LOOP), async {
        let mut turns = 0;
        while began.elapsed() < wall_clock / 2 {
            tokio::task::yield_now().await;
            turns += 1;
        }
        turns
    });
    assert_eq!(outcome.0, Cause::WallClock { milliseconds: 200 });
    assert!(others > 5, "{others}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn memory_beyond_the_limit() {
    let (cause, _) = normalize(
        Limits::default(),
        "(drop (memory.grow (i32.const 2000))) i32.const 128",
    )
    .await;
    let limit = Limits::default().memory_bytes;
    assert_eq!(
        cause,
        Cause::OutOfMemory {
            wanted: 2001 << 16,
            limit
        }
    );
    let (cause, _) = normalize(
        Limits::default(),
        "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) unreachable",
    )
    .await;
    assert!(matches!(cause, Cause::OutOfMemory { .. }), "{cause:?}");
}

#[tokio::test]
async fn a_panic_is_told_with_its_last_words() {
    let (cause, stderr) = normalize(
        Limits::default(),
        "(call $say (i32.const 2048) (i32.const 40)) unreachable",
    )
    .await;
    assert_eq!(cause, Cause::Panic);
    assert_eq!(stderr, "panicked at src/lib.rs:1:2:  [31mthe end");
}

#[tokio::test]
async fn a_component_may_say_more_than_is_kept() {
    let (cause, stderr) = normalize(
        Limits::default(),
        "(loop $again
            (call $say (i32.const 4096) (i32.const 4096))
            (br_if $again (i32.lt_u (local.tee $turns (i32.add (local.get $turns) (i32.const 1))) (i32.const 100))))
        (call $say (i32.const 2048) (i32.const 40))
        unreachable",
    )
    .await;
    assert_eq!(cause, Cause::Panic);
    assert!(stderr.ends_with("the end"), "{stderr}");
}

#[tokio::test]
async fn other_ends() {
    let ends = [
        ("(call $recurse (i32.const 0))", Cause::StackOverflow),
        ("(i32.load (i32.const -4))", Cause::OutOfBounds),
        ("(call $exit (i32.const 0)) unreachable", Cause::Exit),
        ("(call $exit (i32.const 1)) unreachable", Cause::Exit),
        (
            "(i32.div_u (i32.const 1) (i32.const 0))",
            Cause::Trap("wasm trap: integer divide by zero".to_owned()),
        ),
        // A string of 9 MiB as the answer.
        (
            "(drop (memory.grow (i32.const 200)))
             (i32.store (i32.const 132) (i32.const 65536))
             (i32.store (i32.const 136) (i32.const 0x900000))
             i32.const 128",
            Cause::HostCallData,
        ),
    ];
    for (body, expected) in ends {
        let (cause, _) = normalize(Limits::default(), body).await;
        assert_eq!(cause, expected, "{body}");
    }
}

#[tokio::test]
async fn wrong_answers_are_traps_that_say_why() {
    let answers = [
        // No such case of a result.
        "(i32.store (i32.const 128) (i32.const 7)) i32.const 128",
        // A string outside the memory.
        "(i32.store (i32.const 132) (i32.const 65536)) (i32.store (i32.const 136) (i32.const 1)) i32.const 128",
        // A text that is not UTF-8.
        "(i32.store (i32.const 132) (i32.const 140)) (i32.store (i32.const 136) (i32.const 1))
         (i32.store (i32.const 140) (i32.const 0xff)) i32.const 128",
        // An answer at an odd address.
        "i32.const 129",
    ];
    for answer in answers {
        let (cause, _) = normalize(Limits::default(), answer).await;
        assert!(
            matches!(&cause, Cause::Trap(text) if !text.is_empty()),
            "{cause:?}"
        );
    }
}

#[tokio::test]
async fn an_error_names_plugin_digest_and_function() {
    let sandbox = sandbox(Limits::default());
    let rules = rules(&sandbox, "unreachable");
    let error = rules
        .normalize("code")
        .await
        .outcome
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(r#"plugin "test" (sha256:"#) && error.contains("sessions.normalize"),
        "{error}"
    );
}

#[tokio::test]
async fn slots_come_back_whatever_ends_a_call() {
    let sandbox = sandbox(Limits {
        concurrent_calls: 1,
        fuel: 100_000,
        ..Limits::default()
    });
    let [behaves, loops, grows] = [
        "i32.const 128",
        LOOP,
        "(drop (memory.grow (i32.const 2000))) unreachable",
    ]
    .map(|body| rules(&sandbox, body));
    for _ in 0..50 {
        failed(loops.normalize("code").await.outcome);
        failed(grows.normalize("code").await.outcome);
        behaves.normalize("code").await.outcome.unwrap().unwrap();
    }
}

/// As many engine calls as there are slots, each waiting for rules: the rules' slots are their own.
#[tokio::test]
async fn rules_inside_of_engine_calls_never_wait_for_engine_calls() {
    let sandbox = sandbox(Limits {
        concurrent_calls: 2,
        ..Limits::default()
    });
    let plugin = plugin(&sandbox, "(component)");
    let rules = rules(&sandbox, "i32.const 128");
    let all_slots_are_taken = tokio::sync::Barrier::new(2);
    let outer = async || {
        let calls = Calls {
            sandbox: &sandbox,
            plugin: &plugin,
            slots: |inner: &Inner| &inner.engine_calls,
            function: "outer",
            longest: ANY,
            patience: None,
        };
        let answer = calls.run((), async |_| {
            all_slots_are_taken.wait().await;
            Ok(rules.normalize("code").await.outcome.unwrap())
        });
        answer.await.outcome
    };
    let all = futures::future::join_all((0..8).map(|_| outer())).await;
    for outcome in all {
        outcome.unwrap().unwrap();
    }
}

/// A capability that fails for the host's own reasons is not the plugin's fault.
#[tokio::test]
async fn a_fault_of_the_host_is_not_blamed_on_the_plugin() {
    let sandbox = sandbox(Limits::default());
    let plugin = plugin(&sandbox, "(component)");
    let calls = Calls {
        sandbox: &sandbox,
        plugin: &plugin,
        slots: |inner: &Inner| &inner.engine_calls,
        function: "outer",
        longest: ANY,
        patience: None,
    };
    let answer = calls.run((), async |_| {
        Err::<(), _>(wasmtime::Error::msg("the disk is full").context(HostFault))
    });
    let (cause, _) = failed(answer.await.outcome);
    assert_eq!(cause, Cause::Host("the disk is full".to_owned()));
}

#[tokio::test]
async fn host_calls_without_end_are_paid_for() {
    // On a busy machine the budget may outlast the usual time.
    let limits = Limits {
        fuel: 100_000_000,
        wall_clock: Duration::from_secs(60),
        ..Limits::default()
    };
    let fuel = limits.fuel;
    let writes =
        "(loop $again (call $say (i32.const 4096) (i32.const 4096)) (br $again)) unreachable";
    let began = Instant::now();
    let (outcome, others) = tokio::join!(normalize(limits, writes), async {
        let mut turns = 0;
        while turns < 5 {
            tokio::task::yield_now().await;
            turns += 1;
        }
        began.elapsed()
    });
    assert_eq!(outcome.0, Cause::OutOfHostFuel { fuel });
    // Its turns come between those of the component, and not after it.
    assert!(others * 2 < began.elapsed(), "{others:?}");
}

/// Nothing is counted but the time: the deadline is looked at in the midst of the loop.
#[tokio::test]
async fn a_call_that_is_late_ends_also_where_nobody_polls_its_clock() {
    let sandbox = sandbox(Limits {
        fuel: u64::MAX,
        wall_clock: Duration::from_millis(100),
        ..Limits::default()
    });
    let rules = rules(&sandbox, LOOP);
    let began = Instant::now();
    let (cause, _) = failed(rules.normalize("code").await.outcome);
    assert_eq!(cause, Cause::WallClock { milliseconds: 100 });
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_code_is_short_and_a_reason_not_too_long() {
    for (length, expected) in [
        (128, None),
        (
            129,
            Some("its answer has a code of 129 bytes, and 128 are allowed"),
        ),
        (
            5_000,
            Some("its answer has a text of 5000 bytes, and 1024 are allowed"),
        ),
    ] {
        let body = format!(
            "(i32.store (i32.const 132) (i32.const 4096)) (i32.store (i32.const 136) (i32.const {length})) i32.const 128"
        );
        let rules = rules(&sandbox(Limits::default()), &body);
        let outcome = rules.normalize("code").await.outcome;
        match expected {
            None => assert_eq!(outcome.unwrap().unwrap().len(), length),
            Some(expected) => assert_eq!(failed(outcome).0.to_string(), expected),
        }
    }
}

/// The caller pays for what it asked for.
#[tokio::test]
async fn a_call_says_how_much_fuel_it_used() {
    let sandbox = sandbox(Limits::default());
    let little = rules(&sandbox, "i32.const 128")
        .normalize("code")
        .await
        .fuel;
    let said = "(call $say (i32.const 4096) (i32.const 4096)) i32.const 128";
    let more = rules(&sandbox, said).normalize("code").await.fuel;
    assert!(little < more && more > 4_096, "{little} {more}");
    let all = rules(&sandbox, LOOP).normalize("code").await.fuel;
    assert!(all >= 1_000_000, "{all}");
}

#[tokio::test]
async fn all_calls_together_have_so_much_memory() {
    let sandbox = sandbox(Limits {
        memory_bytes_in_all: 4 << 20,
        ..Limits::default()
    });
    let grows = rules(
        &sandbox,
        "(drop (memory.grow (i32.const 32))) i32.const 128",
    );
    let too_much = rules(
        &sandbox,
        "(drop (memory.grow (i32.const 64))) i32.const 128",
    );
    for _ in 0..20 {
        grows.normalize("code").await.outcome.unwrap().unwrap();
        let (cause, _) = failed(too_much.normalize("code").await.outcome);
        assert_eq!(cause, Cause::NoMemoryLeft { limit: 4 << 20 });
    }
}

#[tokio::test]
async fn an_impatient_call_does_not_wait_for_ever() {
    let sandbox = sandbox(Limits {
        concurrent_calls: 1,
        ..Limits::default()
    });
    let plugin = plugin(&sandbox, "(component)");
    let calls = Calls {
        sandbox: &sandbox,
        plugin: &plugin,
        slots: |inner: &Inner| &inner.engine_calls,
        function: "outer",
        longest: ANY,
        patience: Some(Duration::from_millis(50)),
    };
    let answer = calls.run((), async |_| {
        let other = calls.run((), async |_| Ok(())).await.outcome;
        let busy = matches!(other, Err(SandboxError::Busy { calls: 1 }));
        Ok(busy)
    });
    assert!(answer.await.outcome.unwrap());
    calls.run((), async |_| Ok(())).await.outcome.unwrap();
}
