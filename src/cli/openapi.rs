//! `openapi`: the document of the client API, as `serve` serves it.

use clap::{Args, ValueEnum};

use super::End;
use super::output::data;
use crate::app::{openapi_document, openapi_document_3_0};

#[derive(Args)]
pub(super) struct Arguments {
    /// The version of OpenAPI; 3.0 for generators that refuse 3.1
    #[arg(long, value_enum, value_name = "VERSION", default_value = "3.1")]
    spec: Version,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "3.1")]
    Newer,
    #[value(name = "3.0")]
    Older,
}

pub(super) fn run(arguments: &Arguments) -> End {
    let document = match arguments.spec {
        Version::Newer => openapi_document(),
        Version::Older => openapi_document_3_0(),
    };
    data(format_args!("{document:#}"))
}
