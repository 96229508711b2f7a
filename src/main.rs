//! The `relais` binary: hands the command line to [`relais::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    relais::cli::main()
}
