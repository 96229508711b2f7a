//! `check`: read the configuration, tell every problem at once.

use std::path::Path;

use super::End;

use super::output::{data, environment, say};
use crate::app::clock::SystemClock;
use crate::config::{self, Config};
use crate::domain::clock::Clock as _;

pub(super) fn run(config: Option<&Path>) -> End {
    let now = SystemClock::start().now();
    match environment().and_then(|environment| config::load(config, environment, &[], now)) {
        Ok(config) => {
            for warning in &config.warnings {
                say(format_args!("warning: {warning}"));
            }
            data(summary(&config))
        }
        Err(problems) => {
            for problem in &problems.0 {
                say(problem);
            }
            let count = problems.0.len();
            say(format_args!("{count} {}", if count == 1 { "problem" } else { "problems" }));
            End::Usage
        }
    }
}

fn summary(config: &Config) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!(
        "ok: {}, {}, {}, {}",
        count(config.providers.len(), "provider"),
        count(config.registrations.len(), "registration"),
        count(config.applications.len(), "application"),
        count(config.warnings.len(), "warning"),
    )
}
