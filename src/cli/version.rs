//! `version`: which version this is.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::End;
use super::output::data;

#[derive(Args)]
pub(super) struct Arguments {
    /// For a human or for a machine
    #[arg(short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> End {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    match arguments.output {
        Format::Text => data(format_args!("{name} {version}")),
        Format::Json => data(json!({ "name": name, "version": version })),
    }
}
