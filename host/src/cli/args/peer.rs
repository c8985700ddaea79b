//! The arguments of a command that connects to another site.

use super::plugins::PluginArgument;

/// Who is asked, and by whom else than the standard components.
#[derive(Debug, clap::Args)]
pub struct PeerArguments {
    /// The address that `tombolo share` printed
    #[arg(value_name = "URL")]
    pub url: String,
    /// The code that `tombolo share` printed
    #[arg(value_name = "CODE")]
    pub code: String,
    /// Only these tables; all that are shared if none is named
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Accept an unencrypted connection to another machine
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Let a component fill a role (engine, sessions, conflicts, ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    pub plugins: Vec<PluginArgument>,
}
