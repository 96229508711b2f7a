//! What takes effect only at a start, so that a reload can say what it leaves as it was.
//!
//! Each section is told by its path and a digest of what it says: literal secrets may stand in it, and must not be kept
//! a second time. `enabled` is left out: it may change while Relais runs, as applications may. What files say that a
//! section only names (certificates, secrets) is not looked at.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use toml::{Table, Value};

/// Sections by their path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AtStart(BTreeMap<String, Vec<u8>>);

impl AtStart {
    pub(super) fn of(table: &Table) -> Self {
        let mut sections = BTreeMap::new();
        for (name, value) in table {
            match (name.as_str(), value) {
                ("applications", _) => {}
                ("listeners" | "providers" | "registrations" | "targets", Value::Table(inner)) => {
                    for (below, section) in inner {
                        sections.insert(format!("{name}.{below}"), told(section));
                    }
                }
                _ => {
                    sections.insert(name.clone(), told(value));
                }
            }
        }
        Self(sections)
    }

    /// The sections of `fresh` that are not what they were at the start. One that is gone is no such section: a provider,
    /// registration or target that is no longer declared is switched off.
    pub fn changed_in<'a>(&self, fresh: &'a Self) -> impl Iterator<Item = &'a str> {
        let changed = fresh.0.iter().filter(|(path, told)| self.0.get(*path) != Some(told));
        changed.map(|(path, _)| path.as_str()).collect::<Vec<_>>().into_iter()
    }
}

fn told(section: &Value) -> Vec<u8> {
    let mut section = section.clone();
    if let Value::Table(members) = &mut section {
        members.remove("enabled");
    }
    digest(&SHA256, section.to_string().as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> AtStart {
        AtStart::of(&text.parse().expect("TOML"))
    }

    const BEFORE: &str = r#"
        mode = "development"
        [listeners.clients]
        bind = "127.0.0.1:1"
        [registrations.psc]
        client_secret = "canary"
        certificates = [{ cert = "a", key = "b" }]
        [registrations.other]
        scope = "openid"
        [applications.desk]
        secret = "x"
    "#;

    #[test]
    fn what_needs_a_restart_is_named_and_what_does_not_is_not() {
        let before = of(BEFORE);
        assert!(!format!("{before:?}").contains("canary"));
        let changed = |from: &str, to: &str| {
            assert!(BEFORE.contains(from));
            before.changed_in(&of(&BEFORE.replace(from, to))).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(changed("canary", "another"), ["registrations.psc"]);
        assert_eq!(
            changed("key = \"b\" }", "key = \"b\" }, { cert = \"c\", key = \"d\" }"),
            ["registrations.psc"]
        );
        assert_eq!(changed(":1", ":2"), ["listeners.clients"]);
        assert_eq!(changed("development", "production"), ["mode"]);
        assert_eq!(changed("[registrations.other]", "[registrations.third]"), ["registrations.third"]);
        assert_eq!(changed("scope = \"openid\"", "scope = \"openid\"\nenabled = false"), [""; 0]);
        assert_eq!(changed("secret = \"x\"", "secret = \"y\""), [""; 0]);
    }
}
