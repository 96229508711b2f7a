//! `acts_for`: whose sessions an application may introspect and use beside its own.

use std::collections::BTreeMap;

use crate::config::reader::Reader;
use crate::domain::application::Application;
use crate::domain::registration::Environment;

const KEY: &str = "acts_for";

/// Each name is that of another application, of the same tenant and of the same environment.
pub(super) fn check(
    root: &Reader<'_>,
    applications: &[Application],
    environments: &BTreeMap<&str, Environment>,
) {
    let declared = root.section("applications");
    let environment_of = |application: &Application| {
        application.registrations.iter().find_map(|name| environments.get(name.as_str()))
    };
    for application in applications {
        let reader = declared.section(application.name.as_str());
        for name in &reader.texts(KEY) {
            let other = applications.iter().find(|other| other.name.as_str() == name.as_str());
            match other {
                None if declared.has(name) => {}
                None => reader.problem(
                    KEY,
                    format!("names the application {name:?}, which does not exist"),
                    format!("add [applications.{name}], or name one that exists"),
                ),
                Some(other) if other.name == application.name => {
                    reader.problem(
                        KEY,
                        "names the application itself",
                        "remove it: its own sessions are open to it",
                    );
                }
                Some(other) if other.tenant != application.tenant => reader.problem(
                    KEY,
                    format!("names {name}, which belongs to the tenant {}", other.tenant),
                    "name applications of the same tenant",
                ),
                Some(other) if environment_of(other) != environment_of(application) => reader.problem(
                    KEY,
                    format!("names {name}, whose registrations lead to another environment"),
                    "keep production and test apart",
                ),
                Some(_) => {}
            }
        }
    }
}
