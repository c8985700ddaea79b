//! The arguments of `pull` and `diff` about the other site.

use super::plugins::PluginArgument;

/// The other site, the wanted tables, and the components that replace standard ones.
#[derive(Debug, clap::Args)]
pub struct PeerArguments {
    /// The URL that `tombolo share` printed
    #[arg(value_name = "URL")]
    pub url: String,
    /// The code that `tombolo share` printed
    #[arg(value_name = "CODE")]
    pub code: String,
    /// Only these tables [default: all that are shared]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Allow unencrypted HTTP to another machine
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Replace a standard component (engine, sessions, conflicts or ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    pub plugins: Vec<PluginArgument>,
}
