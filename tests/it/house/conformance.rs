//! `docs/CONFORMANCE.md` and the tests that it names: each row of the acceptance matrix is there once, each test that
//! carries a row's number stands in that row, and each name on the page is that of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

const PAGE: &str = "docs/CONFORMANCE.md";

const ROWS: RangeInclusive<u16> = 1..=114;

/// Rows without a test, and why. A row that has one leaves this list.
const WITHOUT_TEST: &[(RangeInclusive<u16>, &str)] = &[];

/// What may stand in the place of tests beside a module of the conformance suite.
const REASONS: &[&str] = &["not applicable: ", "later: "];

/// A table's row: its first cell, and its last.
struct Row<'t> {
    subject: &'t str,
    proof: &'t str,
}

impl Row<'_> {
    /// The names of tests in its last cell. Nothing else stands there if one does.
    fn tests(&self) -> Vec<&str> {
        let words: Vec<&str> = self.proof.split(", ").collect();
        let name = |word: &&str| word.strip_prefix('`').and_then(|word| word.strip_suffix('`')).is_some();
        if words.iter().all(name) {
            words.iter().map(|word| word.trim_matches('`')).collect()
        } else {
            Vec::new()
        }
    }
}

fn text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page")
}

/// The rows of every table below `heading`, up to the next heading of the same level.
fn rows<'t>(text: &'t str, heading: &str) -> Vec<Row<'t>> {
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).expect("the section");
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .filter(|cells| !matches!(cells.first(), Some(&"Row" | &"Module")))
        .map(|cells| Row { subject: cells[0].trim_matches('`'), proof: cells[cells.len() - 1] })
        .collect()
}

/// The rows of the matrix by number.
fn matrix(text: &str) -> BTreeMap<u16, Row<'_>> {
    let rows = rows(text, "Acceptance matrix");
    let count = rows.len();
    let numbered = rows.into_iter().map(|row| (row.subject.parse().expect("a number"), row));
    let matrix: BTreeMap<u16, Row<'_>> = numbered.collect();
    assert_eq!(matrix.len(), count, "a row stands there twice");
    matrix
}

/// The numbers that a test carries: `rp_042_043_…` two, `rp_049_to_052_…` four.
fn numbers(test: &str) -> BTreeSet<u16> {
    let number = |word: &&str| (word.len() == 3).then(|| word.parse::<u16>().ok()).flatten();
    let mut found = BTreeSet::new();
    let mut last = None;
    let mut words = test.strip_prefix("rp_").into_iter().flat_map(|rest| rest.split('_')).peekable();
    while let Some(word) = words.next() {
        match (number(&word), word, last) {
            (Some(row), ..) => {
                found.insert(row);
                last = Some(row);
            }
            (None, "to", Some(from)) => {
                let Some(to) = words.next_if(|next| number(next).is_some()).as_ref().and_then(number) else {
                    break;
                };
                found.extend(from..=to);
                last = Some(to);
            }
            _ => break,
        }
    }
    found
}

/// The names of the functions that `text` marks as tests.
fn tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && !line.starts_with("#[") && !line.starts_with("//") {
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
            found.extend(name.map(str::to_owned));
            is_test = false;
        }
    }
    found
}

/// Every test of the package.
fn tests() -> BTreeSet<String> {
    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder that can be listed") {
            let path = entry.expect("a folder that can be listed").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(tests_in(&fs::read_to_string(path).expect("a readable file")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut found);
    }
    assert!(found.len() > 500, "only {} tests found: looked in the wrong place", found.len());
    found
}

#[test]
fn every_row_is_there_once_with_its_tests_or_with_a_reason_that_is_known() {
    let text = text();
    let matrix = matrix(&text);
    assert_eq!(matrix.keys().copied().collect::<Vec<_>>(), ROWS.collect::<Vec<_>>());
    for (number, row) in &matrix {
        let reason = WITHOUT_TEST.iter().find(|(rows, _)| rows.contains(number)).map(|(_, reason)| *reason);
        match (row.tests().is_empty(), reason) {
            (true, Some(reason)) => assert_eq!(row.proof, reason, "row {number:03}"),
            (true, None) => {
                assert!(
                    row.proof.starts_with("not applicable: "),
                    "row {number:03} has neither test nor reason"
                );
            }
            (false, Some(_)) => panic!("row {number:03} has tests: take it off WITHOUT_TEST"),
            (false, None) => {}
        }
    }
}

#[test]
fn every_test_that_carries_a_number_stands_in_its_row() {
    let text = text();
    let matrix = matrix(&text);
    let mut absent = Vec::new();
    for test in tests().iter().filter(|test| test.starts_with("rp_")) {
        let numbers = numbers(test);
        assert!(!numbers.is_empty(), "{test} carries no number");
        for number in numbers {
            let is_there = matrix.get(&number).is_some_and(|row| row.tests().contains(&test.as_str()));
            if !is_there {
                absent.push(format!("row {number:03} lacks `{test}`"));
            }
        }
    }
    assert!(absent.is_empty(), "{}", absent.join("\n"));
}

#[test]
fn every_name_on_the_page_is_that_of_a_test() {
    let text = text();
    let tests = tests();
    let tables =
        ["Acceptance matrix", "FAPI-CIBA relying-party modules", "OpenID Connect relying-party modules"];
    let all: Vec<Row<'_>> = tables.into_iter().flat_map(|heading| rows(&text, heading)).collect();
    let named = all.iter().flat_map(Row::tests);
    let unknown: Vec<&str> = named.filter(|name| !tests.contains(*name)).collect();
    assert!(unknown.is_empty(), "no such test: {}", unknown.join(", "));
}

#[test]
fn every_module_of_the_suite_is_there_once_with_tests_or_a_reason() {
    let text = text();
    for (heading, least) in
        [("FAPI-CIBA relying-party modules", 29), ("OpenID Connect relying-party modules", 38)]
    {
        let rows = rows(&text, heading);
        let subjects: BTreeSet<&str> = rows.iter().map(|row| row.subject).collect();
        assert_eq!(subjects.len(), rows.len(), "{heading}: a module twice");
        assert_eq!(rows.len(), least, "{heading}");
        for row in rows.iter().filter(|row| row.tests().is_empty()) {
            let known = REASONS
                .iter()
                .any(|reason| row.proof.strip_prefix(reason).is_some_and(|why| !why.is_empty()));
            assert!(known, "{}: {:?}", row.subject, row.proof);
        }
    }
}

// === The checker, on samples ===

#[test]
fn numbers_are_read_from_names() {
    let read = |test| numbers(test).into_iter().collect::<Vec<_>>();
    assert_eq!(read("rp_043_slow_down_is_sticky"), [43]);
    assert_eq!(read("rp_009_010_a_rotated_key"), [9, 10]);
    assert_eq!(read("rp_049_to_052_056_ends"), [49, 50, 51, 52, 56]);
    assert_eq!(read("rp_114_of_200_starts"), [114]);
    assert_eq!(read("rp_031_to_nowhere"), [31]);
    assert_eq!(read("r_c_03_headers"), [0; 0]);
}

#[test]
fn tests_are_found_and_helpers_are_none() {
    let text =
        "#[test]\nfn a() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn b() {}\nfn helper() {}\n";
    assert_eq!(tests_in(text), ["a", "b"]);
}

#[test]
fn cells_are_told_apart() {
    let text = "# T\n\n## Acceptance matrix\n\n| Row | What | Tests |\n|---|---|---|\n| 001 | x | `a`, `b` |\n\
                | 002 | y | later: z |\n\n## Other\n\n| 003 | x | `c` |\n";
    let matrix = matrix(text);
    assert_eq!(matrix.len(), 2);
    assert_eq!(matrix[&1].tests(), ["a", "b"]);
    assert_eq!(matrix[&2].tests(), [""; 0]);
}
