//! The documents: whoever adds a word of the contract explains it, and no link leads nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use relais::domain::login::LoginReason;
use relais::domain::session::SessionEndReason;
use relais::domain::texts::{Hint, Language, PROBLEM_CODES};

/// Folders that hold no documents of ours.
const FOREIGN: &[&str] = &["target", "node_modules"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of the section under `heading`, up to the next heading of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> Vec<&'t str> {
    let level = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no section {heading:?}");
    lines.take_while(|line| level(line) == 0 || level(line) > level(heading)).collect()
}

/// What the tables of a section are about: the first word in backticks of each row's first cell.
fn subjects(text: &str, heading: &str) -> Vec<String> {
    let rows = section(text, heading).into_iter().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// Fails unless each word has one row, and no row is about anything else.
fn each_has_its_row<'w>(path: &str, heading: &str, words: impl Iterator<Item = &'w str>) {
    let words: BTreeSet<String> = words.map(str::to_owned).collect();
    let subjects = subjects(&text_of(path), heading);
    let found: BTreeSet<String> = subjects.iter().cloned().collect();
    assert_eq!(found, words, "the rows of {heading:?} in {path} (left) are not the words (right)");
    assert_eq!(subjects.len(), found.len(), "{heading:?} in {path} has a row twice: {subjects:?}");
}

#[test]
fn every_problem_code_is_explained() {
    each_has_its_row("docs/ERRORS.md", "## Problem codes", PROBLEM_CODES.into_iter());
}

#[test]
fn every_reason_of_a_login_is_explained() {
    let words = LoginReason::ALL.into_iter().map(LoginReason::as_str);
    each_has_its_row("docs/ERRORS.md", "## Login reasons", words);
}

#[test]
fn every_reason_of_a_session_s_end_is_explained() {
    let words = SessionEndReason::ALL.into_iter().map(SessionEndReason::as_str);
    each_has_its_row("docs/ERRORS.md", "## Session end reasons", words);
}

#[test]
fn every_hint_stands_with_its_sentences() {
    let heading = "## The hint words";
    each_has_its_row("docs/clients.md", heading, Hint::ALL.into_iter().map(Hint::as_str));
    let text = text_of("docs/clients.md");
    let rows = section(&text, heading).join("\n");
    for hint in Hint::ALL {
        for sentence in Language::ALL.map(|language| hint.message(language, "42")) {
            assert!(rows.contains(&sentence), "{hint:?}: {heading:?} lacks {sentence:?}");
        }
    }
}

// === Links ===

/// Every Markdown file of the repository, by its path from the root.
fn documents() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder that can be listed") {
            let path = entry.expect("a folder that can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && !FOREIGN.contains(&name) {
                    collect(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(root(), &mut found);
    found.sort();
    found
}

/// The lines without those of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of the links of a document: `[…](target)` and `[…]: target`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text).map(without_code) {
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined =
            line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        let targets = inline.chain(defined).filter_map(|target| target.split_whitespace().next());
        found.extend(targets.map(str::to_owned));
    }
    found
}

/// What `#…` may name in a document: its headings, as forges spell them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Whether a target is somebody else's: it has a scheme.
fn is_foreign(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The links of `document` that lead nowhere.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let name = document.strip_prefix(root()).unwrap_or(document).display();
    let dead = |target: &String| {
        let (path, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
        let file = match path {
            "" => document.to_owned(),
            path => document.parent().unwrap_or(document).join(path),
        };
        let has_anchor = || match fs::read_to_string(&file) {
            Ok(text) => anchors(&text).contains(anchor),
            Err(_) => false,
        };
        path.starts_with('/') || !file.exists() || !(anchor.is_empty() || has_anchor())
    };
    let links = links(text);
    let ours = links.iter().filter(|target| !is_foreign(target));
    ours.filter(|target| dead(target)).map(|target| format!("{name}: {target}")).collect()
}

#[test]
fn no_link_leads_nowhere() {
    let documents = documents();
    assert!(documents.len() > 15, "only {documents:?}: the test looks in the wrong place");
    let read = |document: &PathBuf| fs::read_to_string(document).expect("a readable document");
    let dead: Vec<String> = documents.iter().flat_map(|it| dead_links(it, &read(it))).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

// === The checker, on samples ===

#[test]
fn rows_are_found_in_their_section_only() {
    let text = "# T\n## A\n| Word | Why |\n|---|---|\n| `one` | `x` |\n### More\n| `two`, `x` | |\n## B\n| `three` | |\n";
    assert_eq!(subjects(text, "## A"), ["one", "two"]);
    assert_eq!(subjects(text, "## B"), ["three"]);
}

#[test]
fn links_are_found_and_code_is_none() {
    let text = "[a](b.md) and [c](d.md#e \"title\")\n`[f](g.md)`\n```\n[h](i.md)\n```\n[j]: k.md\n";
    assert_eq!(links(text), ["b.md", "d.md#e", "k.md"]);
}

#[test]
fn a_dead_link_is_found_and_a_live_one_is_not() {
    let document = root().join("docs/sample.md");
    for dead in ["nowhere.md", "../nowhere/", "/README.md", "#nowhere", "../README.md#nowhere"] {
        assert_eq!(dead_links(&document, &format!("[x]({dead})")).len(), 1, "{dead}");
    }
    for live in
        ["../README.md", "adr/", "../README.md#two-commands", "https://nowhere.example/x", "mailto:a@b.c"]
    {
        assert_eq!(dead_links(&document, &format!("[x]({live})")), Vec::<String>::new(), "{live}");
    }
}
