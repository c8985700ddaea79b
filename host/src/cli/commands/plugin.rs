//! `tombolo plugin wit`: prints the contract that components are built against.

use crate::cli::output::Output;
use crate::cli::output::event::Event;

pub const EXAMPLES: &str = "\
Example:
  tombolo plugin wit > wit/tombolo.wit";

/// The files of the contract. The first one names the package.
const FILES: [&str; 12] = [
    include_str!("../../../../wit/types.wit"),
    include_str!("../../../../wit/worlds.wit"),
    include_str!("../../../../wit/conflicts.wit"),
    include_str!("../../../../wit/sessions.wit"),
    include_str!("../../../../wit/ddl.wit"),
    include_str!("../../../../wit/engine.wit"),
    include_str!("../../../../wit/access.wit"),
    include_str!("../../../../wit/database.wit"),
    include_str!("../../../../wit/http.wit"),
    include_str!("../../../../wit/services.wit"),
    include_str!("../../../../wit/state.wit"),
    include_str!("../../../../wit/transfers.wit"),
];

/// Arguments of `plugin`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the contract that plugins are built against, as one file
    Wit,
}

/// Prints what was asked for.
pub fn run(arguments: &Arguments, output: &Output) {
    match arguments.command {
        Command::Wit => {
            let wit = contract();
            output.event(&Event::Contract { wit: &wit });
            output.result(wit.trim_end());
        }
    }
}

fn contract() -> String {
    FILES.map(str::trim).join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_file_of_the_contract_is_printed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
        let contract = contract();
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(contract.contains(text.trim()));
            files += 1;
        }
        assert_eq!(files, FILES.len());
        assert!(contract.starts_with("package tombolo:sync@"));
    }
}
