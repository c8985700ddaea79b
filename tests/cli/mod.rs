//! Tests of the command line: commands, output, exit codes and error codes.

mod addresses;
mod commands;
mod documents;
mod errors;
mod terminal;
