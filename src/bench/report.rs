//! What a run brought: one JSON object, or the same as lines of a name and a value.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::connection::CallError;
use super::watch::Watched;

/// What a run brought.
#[derive(Serialize)]
pub struct Report {
    scenario: &'static str,
    relais_version: String,
    load: Load,
    results: Value,
    /// The phases of the run, in their order.
    phases: Vec<Phase>,
    errors: Errors,
    doubts: Vec<String>,
}

/// What was asked for.
#[derive(Default, Serialize)]
pub(super) struct Load {
    pub count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approve_after_ms: Option<u128>,
    /// How the clients were connected.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub connections: String,
}

/// A phase and what it cost.
#[derive(Serialize)]
pub(super) struct Phase {
    name: &'static str,
    #[serde(flatten)]
    watched: Watched,
}

/// Calls that failed, by call and code.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(super) struct Errors(BTreeMap<String, u64>);

impl Errors {
    /// What the call brought, unless it failed: then it is counted.
    pub(super) fn of<T>(&mut self, call: &str, outcome: Result<T, CallError>) -> Option<T> {
        match outcome {
            Ok(brought) => Some(brought),
            Err(error) => {
                *self.0.entry(format!("{call}: {}", error.word())).or_default() += 1;
                None
            }
        }
    }
}

impl Report {
    pub(super) fn new(
        scenario: &'static str,
        relais_version: &str,
        load: Load,
        errors: Errors,
        results: &impl Serialize,
    ) -> Self {
        Self {
            scenario,
            relais_version: relais_version.to_owned(),
            load,
            // Numbers, texts and nothing else: there is no way to fail.
            results: serde_json::to_value(results).unwrap_or_default(),
            phases: Vec::new(),
            errors,
            doubts: Vec::new(),
        }
    }

    pub(super) fn phase(mut self, name: &'static str, watched: Watched) -> Self {
        self.doubts.extend(watched.doubts().into_iter().map(|doubt| format!("{name}: {doubt}")));
        self.phases.push(Phase { name, watched });
        self
    }

    /// Whether a call failed.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.0.is_empty()
    }

    /// What makes the times doubtful.
    pub fn doubts(&self) -> impl Iterator<Item = &str> {
        self.doubts.iter().map(String::as_str)
    }

    /// As one line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        self.value().to_string()
    }

    /// As lines of a name and a value.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        flatten("", &self.value(), &mut text);
        text.truncate(text.trim_end().len());
        text
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn flatten(name: &str, value: &Value, text: &mut String) {
    let below = |member: &str| if name.is_empty() { member.to_owned() } else { format!("{name}.{member}") };
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                flatten(&below(member), value, text);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let named = item.get("name").and_then(Value::as_str);
                flatten(&below(named.map_or_else(|| place.to_string(), str::to_owned).as_str()), item, text);
            }
        }
        Value::String(value) => {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<52} {value}");
        }
        value => {
            let _ = writeln!(text, "{name:<52} {value}");
        }
    }
}
