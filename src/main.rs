//! The `relais` binary: hands the command line to [`relais::cli`].

fn main() {}
