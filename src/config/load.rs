//! The sources: file, environment and flags, merged into one table of known keys.
//!
//! Flags beat the environment, the environment beats the file. What no key stands for is refused here, so the
//! sections never meet it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys::{self, Kind, Place};
use super::problem::{Origin, Problem};

/// The merged sources.
pub struct Sources {
    /// All values.
    pub table: Table,
    /// Where each value came from, by dotted path.
    pub origins: BTreeMap<String, Origin>,
    /// The folder against which relative paths are resolved.
    pub folder: PathBuf,
    /// What was wrong already.
    pub problems: Vec<Problem>,
}

impl Sources {
    /// Reads and merges the sources. Only variables that begin with `RELAIS__` are looked at.
    ///
    /// Errors: the file cannot be read or is no TOML; nothing further can be said then.
    pub fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: &[(String, Value)],
    ) -> Result<Self, Problem> {
        let mut sources = Self {
            table: Table::new(),
            origins: BTreeMap::new(),
            folder: file.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default(),
            problems: Vec::new(),
        };
        if let Some(file) = file {
            sources.read_file(file)?;
        }
        let mut variables: Vec<_> =
            environment.filter(|(name, _)| name.starts_with(keys::ENVIRONMENT_PREFIX)).collect();
        variables.sort();
        for (name, text) in variables {
            sources.read_variable(&name, &text);
        }
        for (path, value) in overrides {
            let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
            sources.put(&segments, value.clone(), &Origin::Flag);
        }
        let mut unknown = Vec::new();
        refuse_unknown(&sources.table, &mut Vec::new(), &mut unknown);
        for mut problem in unknown {
            problem.origin = sources.origins.get(&problem.path).cloned();
            sources.problems.push(problem);
        }
        Ok(sources)
    }

    fn problem(&mut self, path: &str, origin: Option<Origin>, what: String, fix: &str) {
        self.problems.push(Problem { path: path.to_owned(), origin, what, fix: fix.to_owned() });
    }

    fn read_file(&mut self, file: &Path) -> Result<(), Problem> {
        let problem =
            |origin, what, fix: &str| Problem { path: String::new(), origin, what, fix: fix.to_owned() };
        let text = std::fs::read_to_string(file).map_err(|error| {
            let what = format!("{} cannot be read ({})", file.display(), error.kind());
            problem(None, what, "name an existing file with --config")
        })?;
        // The parser's own display quotes the line, which may hold a secret: only its message and place are told.
        let not_toml = |error: toml::de::Error| {
            let line = error.span().map(|span| Origin::Line(line_of(&text, span.start)));
            let what = format!("{} is not TOML ({})", file.display(), error.message().replace('\n', ", "));
            problem(line, what, "correct the syntax")
        };
        let spanned = DeTable::parse(&text).map_err(not_toml)?;
        note_lines(spanned.get_ref(), &text, "", &mut self.origins);
        self.table = text.parse().map_err(not_toml)?;
        Ok(())
    }

    /// `RELAIS__SECTION__KEY`: in a segment that is a name, `_` stands for `-`; in a key it is itself.
    fn read_variable(&mut self, name: &str, text: &str) {
        let mut segments: Vec<String> = Vec::new();
        for segment in name[keys::ENVIRONMENT_PREFIX.len()..].split("__") {
            let segment = segment.to_ascii_lowercase();
            let parent: Vec<&str> = segments.iter().map(String::as_str).collect();
            let is_name = keys::children(&parent).contains(&"*");
            segments.push(if is_name { segment.replace('_', "-") } else { segment });
        }
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let in_parameters =
            path.split_last().is_some_and(|(_, parent)| keys::place(parent) == Place::Key(Kind::Parameters));
        let origin = Origin::Environment(name.to_owned());
        let kind = match keys::place(&path) {
            Place::Key(kind) => kind,
            _ if in_parameters => Kind::Text,
            Place::Later => {
                let what = "is not supported by this version".to_owned();
                return self.problem(&path.join("."), Some(origin), what, "remove the variable");
            }
            _ => {
                let fix = suggestion(&path).unwrap_or_else(|| "remove the variable".to_owned());
                return self.problem(&path.join("."), Some(origin), "unknown key".to_owned(), &fix);
            }
        };
        self.put(&segments, environment_value(text, kind), &origin);
    }

    fn put(&mut self, segments: &[String], value: Value, origin: &Origin) {
        let path = segments.join(".");
        let Some((last, parents)) = segments.split_last() else { return };
        let mut table = &mut self.table;
        for parent in parents {
            let entry = table.entry(parent.clone()).or_insert_with(|| Value::Table(Table::new()));
            // A value where a section belongs stays, and is refused with the unknown keys.
            let Value::Table(inner) = entry else { return };
            table = inner;
        }
        table.insert(last.clone(), value);
        self.origins.insert(path, origin.clone());
    }
}

/// A text needs no quotes; everything else is written as in the file.
fn environment_value(text: &str, kind: Kind) -> Value {
    match text.parse() {
        Ok(Value::String(text)) => Value::String(text),
        Ok(value) if kind != Kind::Text => value,
        _ => Value::String(text.to_owned()),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn note_lines(table: &DeTable<'_>, text: &str, prefix: &str, origins: &mut BTreeMap<String, Origin>) {
    for (key, value) in table {
        let path = join(prefix, key.get_ref());
        origins.insert(path.clone(), Origin::Line(line_of(text, key.span().start)));
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(inner, text, &path, origins);
        }
    }
}

/// The dotted path of `key` below `prefix`.
pub fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn refuse_unknown<'a>(table: &'a Table, path: &mut Vec<&'a str>, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        path.push(key);
        let unknown = |what: &str, fix: String| Problem {
            path: path.join("."),
            origin: None,
            what: what.to_owned(),
            fix,
        };
        match (keys::place(path), value) {
            // A value where a section belongs is the reader's to refuse: it names the section.
            (Place::Key(_), _) => {}
            (Place::Section, Value::Table(inner)) => refuse_unknown(inner, path, problems),
            (Place::Section, _) => {
                problems.push(unknown("a table is expected here", "write a section".to_owned()));
            }
            (Place::Later, _) => {
                problems.push(unknown("is not supported by this version", "remove it".to_owned()));
            }
            (Place::Nothing, _) => {
                let fix = suggestion(path).unwrap_or_else(|| "remove it".to_owned());
                problems.push(unknown("unknown key", fix));
            }
        }
        path.pop();
    }
}

/// The nearest known key, where one is near.
fn suggestion(path: &[&str]) -> Option<String> {
    let (last, parent) = path.split_last()?;
    let known = keys::children(parent);
    let (distance, nearest) = known
        .iter()
        .filter(|candidate| **candidate != "*")
        .map(|candidate| (strsim::damerau_levenshtein(last, candidate), *candidate))
        .min()?;
    (distance <= (last.len() / 3).max(1)).then(|| format!("did you mean `{nearest}`?"))
}
