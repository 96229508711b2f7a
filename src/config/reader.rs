//! Typed access to the merged table. Every getter records what is wrong and goes on, so that all problems of a
//! configuration are told at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};
use url::Url;

use super::Mode;
use super::load::{Sources, join};
use super::problem::{Origin, Problem};
use crate::domain::time::Timestamp;

/// What all sections share while they are read.
pub struct Context {
    /// Development relaxes a few rules.
    pub mode: Mode,
    /// For the dates of certificates.
    pub now: Timestamp,
    /// Whether the dates of registrations' certificates are left to whoever examines the registrations.
    pub leaves_dates: bool,
    folder: PathBuf,
    origins: BTreeMap<String, Origin>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Context {
    /// Takes over what the sources found; gives back their table.
    pub fn new(sources: Sources, now: Timestamp) -> (Self, Table) {
        let context = Self {
            mode: Mode::Production,
            now,
            leaves_dates: false,
            folder: sources.folder,
            origins: sources.origins,
            problems: RefCell::new(sources.problems),
            warnings: RefCell::default(),
        };
        (context, sources.table)
    }

    /// Records a problem at the dotted `path`.
    pub fn problem(&self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.borrow_mut().push(self.finding(path, what.into(), fix.into()));
    }

    /// Records something that works but deserves attention.
    pub fn warn(&self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.warnings.borrow_mut().push(self.finding(path, what.into(), fix.into()));
    }

    fn finding(&self, path: &str, what: String, fix: String) -> Problem {
        Problem { path: path.to_owned(), origin: self.origins.get(path).cloned(), what, fix }
    }

    /// `path` as seen from the configuration file's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(Path::new(path))
    }

    /// Problems, then warnings, in the order of their paths.
    pub fn into_findings(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |cell: RefCell<Vec<Problem>>| {
            let mut findings = cell.into_inner();
            findings.sort_by(|a, b| a.path.cmp(&b.path));
            findings
        };
        (sorted(self.problems), sorted(self.warnings))
    }
}

/// One table of the configuration, possibly absent (all of its keys are then absent).
pub struct Reader<'a> {
    /// What all sections share.
    pub context: &'a Context,
    path: String,
    table: Option<&'a Table>,
}

impl<'a> Reader<'a> {
    /// The whole configuration.
    pub const fn root(context: &'a Context, table: &'a Table) -> Self {
        Self { context, path: String::new(), table: Some(table) }
    }

    /// The dotted path of `key` in this table; of the table itself for `""`.
    pub fn path(&self, key: &str) -> String {
        if key.is_empty() { self.path.clone() } else { join(&self.path, key) }
    }

    /// Records a problem with `key` (`""`: the table itself).
    pub fn problem(&self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.context.problem(&self.path(key), what, fix);
    }

    /// Records something about `key` that deserves attention.
    pub fn warn(&self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.context.warn(&self.path(key), what, fix);
    }

    /// Whether `key` is present.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.table.and_then(|table| table.get(key))
    }

    /// The section `key`.
    pub fn section(&self, key: &str) -> Self {
        let table = self.value(key).and_then(Value::as_table);
        Self { context: self.context, path: self.path(key), table }
    }

    /// The sections below this one, with their names.
    pub fn sections(&self) -> impl Iterator<Item = (&'a str, Self)> {
        self.table.into_iter().flatten().filter_map(|(name, value)| {
            value.as_table()?;
            Some((name.as_str(), self.section(name)))
        })
    }

    /// The name of a section as a domain name; a problem where it is none.
    pub fn name<T: FromStr>(&self, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        text.parse().map_err(|error: T::Err| self.problem("", format!("{error}"), "choose another name")).ok()
    }

    fn wrong_type(&self, key: &str, expected: &str) {
        self.problem(key, format!("is not {expected}"), format!("write {expected}"));
    }

    fn missing(&self, key: &str, fix: &str) {
        self.problem(key, "is missing", fix);
    }

    /// A text that is not empty.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) if text.is_empty() => {
                self.problem(key, "is empty", "write a value, or remove the key");
                None
            }
            Value::String(text) => Some(text),
            _ => {
                self.wrong_type(key, "a text in quotes");
                None
            }
        }
    }

    /// The value of `key` where it is a text; no problem where it is not.
    pub fn plain_text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str)
    }

    /// Whether `key` is a list without items.
    pub fn is_empty_list(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// Refuses each of `keys` that is present: it does not go with `choice`.
    pub fn refuse(&self, keys: &[&str], choice: &str) {
        for key in keys.iter().filter(|key| self.has(key)) {
            self.problem(key, format!("does not go with {choice}"), "remove one of the two");
        }
    }

    /// A text that must be there; `fix` says what to write.
    pub fn required(&self, key: &str, fix: &str) -> Option<&'a str> {
        if !self.has(key) {
            self.missing(key, fix);
        }
        self.text(key)
    }

    /// A text that is one of these words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(
                key,
                format!("{text:?} is not known"),
                format!("write one of: {}", known.join(", ")),
            );
        }
        found
    }

    /// One of these words, which must be there.
    pub fn required_word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        if !self.has(key) {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.missing(key, &format!("write one of: {}", known.join(", ")));
        }
        self.word(key, words)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(Value::Boolean(flag)) => *flag,
            Some(_) => {
                self.wrong_type(key, "true or false");
                default
            }
        }
    }

    /// A whole number from 1 on.
    pub fn positive(&self, key: &str, default: u32) -> u32 {
        let Some(value) = self.value(key) else { return default };
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number > 0).unwrap_or_else(|| {
            self.wrong_type(key, "a whole number greater than 0");
            default
        })
    }

    /// A list of texts; absent: empty.
    pub fn texts(&self, key: &str) -> Vec<String> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().filter(|t| !t.is_empty()).map(str::to_owned)).collect()
        });
        let Some(texts) = texts else {
            self.wrong_type(key, "a list of texts");
            return Vec::new();
        };
        if let Some(twice) = (1..texts.len()).find(|index| texts[..*index].contains(&texts[*index])) {
            self.problem(key, format!("{:?} stands there twice", texts[twice]), "remove one");
        }
        texts
    }

    /// A length of time (`"90s"`, `"5m"`, `"1h 30m"`) greater than zero.
    pub fn duration(&self, key: &str, default: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match humantime::parse_duration(text) {
            Ok(length) if !length.is_zero() => length,
            _ => {
                self.wrong_type(key, "a length of time greater than zero, such as \"90s\", \"5m\" or \"4h\"");
                default
            }
        }
    }

    /// A number of bytes greater than zero (`"512KiB"`, `"20MiB"`).
    pub fn size(&self, key: &str, default: u64) -> u64 {
        let Some(text) = self.text(key) else { return default };
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        let size = units.into_iter().find_map(|(unit, factor)| {
            text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(factor)
        });
        size.filter(|size| *size > 0).unwrap_or_else(|| {
            self.wrong_type(key, "a size greater than zero, such as \"512KiB\", \"20MiB\" or \"1GiB\"");
            default
        })
    }

    /// A file, resolved against the configuration file's folder.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|text| self.context.resolve(text))
    }

    /// A list of files, resolved likewise.
    pub fn files(&self, key: &str) -> Vec<PathBuf> {
        self.texts(key).iter().map(|text| self.context.resolve(text)).collect()
    }

    /// A list of `{ cert = "…", key = "…" }`, resolved likewise.
    pub fn pairs(&self, key: &str) -> Vec<(PathBuf, PathBuf)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let shape = "a list of { cert = \"FILE\", key = \"FILE\" }";
        let Some(items) = value.as_array() else {
            self.wrong_type(key, shape);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| {
                let table = item.as_table().filter(|table| table.len() == 2);
                let file = |name| table?.get(name)?.as_str().map(|text| self.context.resolve(text));
                let pair = file("cert").zip(file("key"));
                if pair.is_none() {
                    self.wrong_type(key, shape);
                }
                pair
            })
            .collect()
    }

    /// A table of texts with free keys.
    pub fn parameters(&self, key: &str) -> BTreeMap<String, String> {
        let Some(value) = self.value(key) else { return BTreeMap::new() };
        let Some(table) = value.as_table() else {
            self.wrong_type(key, "a table of texts");
            return BTreeMap::new();
        };
        let section = self.section(key);
        table
            .keys()
            .filter_map(|name| section.text(name).map(|text| (name.clone(), text.to_owned())))
            .collect()
    }

    /// An address to listen on.
    pub fn bind(&self, key: &str, default: &str) -> Option<SocketAddr> {
        let text = if self.has(key) { self.text(key)? } else { default };
        let address = text.parse().ok();
        if address.is_none() {
            self.wrong_type(key, "an address and a port, such as \"127.0.0.1:8443\" or \"[::]:8443\"");
        }
        address
    }

    /// An `https` URL without query and fragment; `http` only on loopback in development.
    pub fn url(&self, key: &str, text: &str) -> Option<Url> {
        let Ok(url) = Url::parse(text) else {
            self.wrong_type(key, "a URL, such as \"https://host.example/path\"");
            return None;
        };
        let loopback = match url.host() {
            Some(url::Host::Domain(domain)) => domain == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let allowed = match url.scheme() {
            "https" => true,
            "http" => loopback && self.context.mode == Mode::Development,
            _ => false,
        };
        if !allowed {
            self.problem(
                key,
                "is not an https URL",
                "use https; http is for loopback in mode = \"development\" only",
            );
            return None;
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.query().is_some() || url.fragment().is_some() || has_user {
            self.problem(key, "carries a query, a fragment, a user name or a password", "remove it");
            return None;
        }
        Some(url)
    }
}
