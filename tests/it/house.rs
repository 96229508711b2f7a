//! The rules of the house that no compiler checks: which folder may know which, who reads a clock, how long a
//! file may be. `docs/ARCHITECTURE.md` shows the arrows as a picture.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

mod conformance;
mod documents;
mod postman;
mod source;

use source::Source;

/// The arrows. A name with `::` opens only that part of a module. `domain` is open to all; nothing else is.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("crypto", &["domain", "telemetry"]),
    ("net", &["domain", "crypto", "telemetry"]),
    ("engine", &["domain", "crypto", "telemetry"]),
    ("store", &["domain", "crypto", "engine::ports", "telemetry"]),
    ("provider", &["domain", "crypto", "engine::ports", "net", "telemetry"]),
    ("target", &["domain", "crypto", "engine::ports", "net", "telemetry"]),
    ("http", &["domain", "crypto", "engine", "net", "telemetry"]),
    ("client", &["domain", "telemetry"]),
    ("practice", &["domain", "client", "telemetry"]),
    ("bench", &["domain", "client"]),
    ("simulator", &["domain", "crypto", "net", "telemetry"]),
    ("config", &["domain", "crypto", "telemetry"]),
    (
        "app",
        &[
            "domain",
            "crypto",
            "net",
            "engine",
            "store",
            "provider",
            "target",
            "http",
            "client",
            "simulator",
            "config",
            "telemetry",
        ],
    ),
    ("cli", &["domain", "app", "bench", "client", "practice", "simulator", "config", "crypto", "telemetry"]),
    ("telemetry", &["domain"]),
    ("fuzzing", &["client", "config", "crypto", "engine", "http", "provider"]),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Libraries that belong to some folders only: the word does not occur in any other.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("axum", &["net", "http", "practice", "simulator", "app"]),
    ("clap", &["cli"]),
    ("hyper", &["net", "simulator", "bench"]),
    ("hyper_util", &["net", "simulator", "bench"]),
    ("reqwest", &["net", "provider", "client"]),
    ("sqlx", &["store"]),
];

/// What reads a clock. `clippy.toml` forbids the calls; this forbids the `#[expect]` that would let one pass.
const CLOCK_READS: &[[&str; 2]] =
    &[["SystemTime", "now"], ["Instant", "now"], ["Utc", "now"], ["Local", "now"], ["Uuid", "now_v7"]];

/// The files that implement the clock.
const CLOCK_FILES: &[&str] = &["app/clock.rs"];

/// Lines of a file, its tests not counted.
const LONGEST_FILE: usize = 500;

/// Longer files: path, ceiling, reason.
const LONG_FILES: &[(&str, usize, &str)] =
    &[("engine/ports/store.rs", 580, "one trait and the values it takes, most of it their documentation")];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, read once; those that exist only under `cfg(test)` are marked.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    let root = source_folder();
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let mut sources: Vec<Source> = paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("it was found there").to_str().expect("ASCII names");
            Source::parse(name, &fs::read_to_string(path).expect("a readable file"))
        })
        .collect();
    let test_modules: BTreeSet<Vec<String>> = sources.iter().flat_map(|s| s.test_modules.clone()).collect();
    for source in &mut sources {
        let path = source.module_path();
        source.only_tests = (1..=path.len()).any(|length| test_modules.contains(&path[..length]));
    }
    sources
}

/// The references of `source` that no arrow allows.
fn wrong_arrows(source: &Source) -> Vec<String> {
    let module = source.top_module();
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: the folder `{module}` has no row in ARROWS", source.name)];
    };
    let is_allowed = |path: &[String]| {
        path.first().is_some_and(|first| *first == module)
            || allowed.iter().any(|arrow| arrow.split("::").eq(path.iter().take(arrow.split("::").count())))
    };
    source
        .references
        .iter()
        .filter(|path| !is_allowed(path))
        .map(|path| format!("{}: `{module}` must not know `{}`", source.name, path.join("::")))
        .collect()
}

fn foreign_libraries(source: &Source) -> Vec<String> {
    let module = source.top_module();
    LIBRARIES
        .iter()
        .filter(|(library, folders)| source.words.contains(*library) && !folders.contains(&module))
        .map(|(library, _)| format!("{}: `{module}` must not use `{library}`", source.name))
        .collect()
}

fn clock_reads(source: &Source) -> Vec<String> {
    if source.only_tests || CLOCK_FILES.contains(&source.name.as_str()) {
        return Vec::new();
    }
    CLOCK_READS
        .iter()
        .filter(|[kind, call]| source.calls.contains(&((*kind).to_owned(), (*call).to_owned())))
        .map(|[kind, call]| format!("{}: `{kind}::{call}`; take a `Clock`", source.name))
        .collect()
}

fn missing_head(source: &Source) -> Vec<String> {
    if source.only_tests || source.has_head {
        return Vec::new();
    }
    vec![format!("{}: does not begin with `//!`: what is it for?", source.name)]
}

fn too_long(source: &Source) -> Vec<String> {
    let ceiling = LONG_FILES
        .iter()
        .find(|(name, ..)| *name == source.name)
        .map_or(LONGEST_FILE, |(_, ceiling, _)| *ceiling);
    if source.only_tests || source.lines <= ceiling {
        return Vec::new();
    }
    vec![format!("{}: {} lines without its tests, more than {ceiling}", source.name, source.lines)]
}

/// Runs `rule` over every file and fails with everything that it found.
fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files found: the test looks in the wrong place", sources.len());
    let found: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn arrows_point_one_way() {
    hold(wrong_arrows);
}

#[test]
fn libraries_stay_in_their_folders() {
    hold(foreign_libraries);
}

#[test]
fn only_the_clock_reads_the_clock() {
    hold(clock_reads);
}

#[test]
fn every_module_says_what_it_is_for() {
    hold(missing_head);
}

#[test]
fn files_are_about_one_thing() {
    hold(too_long);
    for (name, ..) in LONG_FILES {
        let source =
            sources().iter().find(|source| source.name == *name).expect("an exception's file exists");
        assert!(source.lines > LONGEST_FILE, "{name} is short enough now: remove its exception");
    }
}

// === The checker, on samples ===

#[test]
fn every_spelling_of_a_wrong_arrow_is_found() {
    for sample in [
        "use crate::http::problem;",
        "use crate::{domain::ids::LoginId, cli};",
        "use crate::{domain, http::{problem, clients}};",
        "use crate::engine::{hub::Hub, ports::Store};",
        "use crate::engine;",
        "use crate::*;",
        "use crate as relais;",
        "fn f() { let _ = crate::provider::x::Y::new(); }",
        "fn f() { use crate::app::run; }",
        "fn f() { vec![crate::cli::main()]; }",
        "pub(in crate::http) struct S(crate::http::T);",
        "use super::super::app::run;",
        "mod inner { use super::super::super::app::run; }",
        "#[cfg(test)] mod tests { use crate::app::run; }",
    ] {
        let found = wrong_arrows(&Source::parse("store/sample.rs", sample));
        assert!(!found.is_empty(), "{sample}");
    }
    assert_eq!(wrong_arrows(&Source::parse("domain/sample.rs", "use crate::store::Store;")).len(), 1);
    assert_eq!(wrong_arrows(&Source::parse("novelty.rs", "")).len(), 1, "an unknown folder");
    assert_eq!(wrong_arrows(&Source::parse("main.rs", "fn main() { relais::app::run() }")).len(), 1);
}

#[test]
fn right_arrows_comments_and_texts_are_no_violations() {
    for sample in [
        "use crate::{domain::ids::LoginId, engine::ports::{Store, wake::Wake}};",
        "use super::conn::Connection; mod inner { use super::super::conn::Connection; }",
        "//! Never [`crate::http`].\n/* crate::app */ const S: &str = \"crate::app axum\"; // crate::cli",
        "pub(crate) fn f() {}",
    ] {
        let source = Source::parse("store/sample.rs", sample);
        assert_eq!(wrong_arrows(&source), Vec::<String>::new(), "{sample}");
        assert_eq!(foreign_libraries(&source), Vec::<String>::new(), "{sample}");
    }
}

#[test]
fn a_foreign_library_is_found() {
    for sample in
        ["use sqlx::Row;", "fn f() { axum::serve() }", "use {std::fmt, reqwest as r};", "use hyper;"]
    {
        assert_eq!(foreign_libraries(&Source::parse("engine/sample.rs", sample)).len(), 1, "{sample}");
        assert_eq!(foreign_libraries(&Source::parse("domain/sample.rs", sample)).len(), 1, "{sample}");
    }
}

#[test]
fn a_clock_read_is_found_outside_the_clock_and_its_tests() {
    let sample = "fn f() { std::time::Instant::now(); }";
    assert_eq!(clock_reads(&Source::parse("engine/sample.rs", sample)).len(), 1);
    assert_eq!(clock_reads(&Source::parse("app/clock.rs", sample)), Vec::<String>::new());
    let tested = "#[cfg(test)] mod tests { fn f() { Instant::now(); } }";
    assert_eq!(clock_reads(&Source::parse("engine/sample.rs", tested)), Vec::<String>::new());
}

#[test]
fn heads_and_lengths_are_seen() {
    assert_eq!(missing_head(&Source::parse("net/sample.rs", "use std::fmt;")).len(), 1);
    assert_eq!(missing_head(&Source::parse("net/sample.rs", "//! A sample.\n")), Vec::<String>::new());
    let long = "//! Long.\n".repeat(LONGEST_FILE + 1);
    assert_eq!(too_long(&Source::parse("net/sample.rs", &long)).len(), 1);
    let tested = format!("//! Short.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(LONGEST_FILE));
    assert_eq!(too_long(&Source::parse("net/sample.rs", &tested)), Vec::<String>::new());
}
