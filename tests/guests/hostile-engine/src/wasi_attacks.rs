//! Each import from WASI in a loop, with the largest arguments that do not end the call at once.

use crate::attacks::repeat;
use crate::bindings::wasi::cli::{
    environment, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout,
};
use crate::bindings::wasi::io::poll;

/// What is taken in one write.
const WRITE: usize = 4 << 10;

/// Attacks one import without end; returns if there is no such import, or if the call did not end as it should.
pub fn attack(name: &str) {
    let (input, output, error) = (
        stdin::get_stdin(),
        stdout::get_stdout(),
        stderr::get_stderr(),
    );
    let bytes = vec![b'x'; WRITE];
    match name {
        "environment.get-environment" => repeat(environment::get_environment),
        "environment.get-arguments" => repeat(environment::get_arguments),
        "environment.initial-cwd" => repeat(environment::initial_cwd),
        "stdin.get-stdin" => repeat(stdin::get_stdin),
        "stdout.get-stdout" => repeat(stdout::get_stdout),
        "stderr.get-stderr" => repeat(stderr::get_stderr),
        "terminals" => repeat(|| {
            (
                terminal_stdin::get_terminal_stdin(),
                terminal_stdout::get_terminal_stdout(),
                terminal_stderr::get_terminal_stderr(),
            )
        }),
        // Handles that are kept.
        "handles" => {
            let mut kept = Vec::new();
            repeat(|| kept.push(error.subscribe()));
        }
        "poll.poll" => {
            let pollable = error.subscribe();
            let all = vec![&pollable; 1_000];
            repeat(|| poll::poll(&all));
        }
        "poll.poll-many" => {
            let pollable = error.subscribe();
            let all = vec![&pollable; 300_000];
            repeat(|| poll::poll(&all));
        }
        "pollable.ready" => {
            let pollable = error.subscribe();
            repeat(|| pollable.ready());
        }
        "pollable.block" => {
            let pollable = input.subscribe();
            repeat(|| pollable.block());
        }
        "input-stream.read" => repeat(|| (input.read(u64::MAX), input.blocking_read(u64::MAX))),
        "input-stream.skip" => repeat(|| (input.skip(u64::MAX), input.blocking_skip(u64::MAX))),
        "output-stream.check-write" => repeat(|| (output.check_write(), error.check_write())),
        "output-stream.write" => repeat(|| {
            let permitted = error.check_write();
            (permitted, error.write(&bytes))
        }),
        "output-stream.write-large" => {
            let bytes = vec![b'x'; 7 << 20];
            repeat(|| output.write(&bytes));
        }
        "output-stream.blocking-write" => repeat(|| error.blocking_write_and_flush(&bytes)),
        "output-stream.flush" => repeat(|| (error.flush(), error.blocking_flush())),
        "output-stream.write-zeroes" => repeat(|| {
            let written = error.blocking_write_zeroes_and_flush(WRITE as u64);
            (error.write_zeroes(WRITE as u64), written)
        }),
        "output-stream.write-zeroes-large" => repeat(|| output.write_zeroes(u64::MAX)),
        "output-stream.splice" => repeat(|| {
            let spliced = output.splice(&input, u64::MAX);
            (spliced, output.blocking_splice(&input, u64::MAX))
        }),
        "println" => repeat(|| {
            println!("{}", "x".repeat(1 << 20));
            eprintln!("{}", "x".repeat(1 << 20));
        }),
        _ => {}
    }
}
