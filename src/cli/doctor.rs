//! `doctor`: prove each registration end to end, and ring nobody.
//!
//! It may run beside a server: it takes no lock and opens no store. What it says goes to stdout, a line per check, or
//! one JSON object. Exit: 0 all is well, 1 something does not work, 3 something deserves attention, 2 the configuration
//! or the command line is at fault.

mod words;

use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::End;
use super::output::{data, environment, failed, language, printable, say};
use crate::app::clock::SystemClock;
use crate::app::doctor::examine;
use crate::config::{self, Config, Problems};
use crate::crypto::random::SystemRandom;
use crate::domain::clock::Clock;
use crate::domain::examination::{Examination, Finding, Outcome};
use crate::domain::texts::Language;

#[derive(Args)]
pub(super) struct Arguments {
    /// Examine this registration only
    #[arg(long, value_name = "NAME")]
    registration: Option<String>,
    /// For a human, or as one JSON object
    #[arg(short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// How an examination, or all of them together, came out; the worse is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    Well,
    Warning,
    Failed,
}

impl Verdict {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            // What was not reached has its cause in something that failed.
            Outcome::Well(_) | Outcome::NotReached => Self::Well,
            Outcome::Warning(_) => Self::Warning,
            Outcome::Failed(_) => Self::Failed,
        }
    }

    fn of_all<'a>(findings: impl Iterator<Item = &'a Finding>) -> Self {
        findings.map(|finding| Self::of(&finding.outcome)).max().unwrap_or(Self::Well)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Well => Self::Done,
            Verdict::Warning => Self::Warnings,
            Verdict::Failed => Self::Failed,
        }
    }
}

/// Examines what is configured.
pub(super) async fn run(file: Option<&Path>, arguments: Arguments) -> End {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let config = match read(file, &*clock) {
        Ok(config) => config,
        Err(problems) => {
            for problem in &problems.0 {
                say(problem);
            }
            return End::Usage;
        }
    };
    let language = language();
    let only = arguments.registration.as_deref();
    if let Some(complaint) = nothing_to_do(&config, only, language) {
        say(complaint);
        return End::Usage;
    }
    let examinations = match examine(&config, only, &clock, &SystemRandom).await {
        Ok(examinations) => examinations,
        Err(error) => return failed(&error),
    };
    let verdict = Verdict::of_all(examinations.iter().flat_map(|examined| &examined.findings));
    let said = match arguments.output {
        Format::Text => data(printable(&text(&examinations, language))),
        Format::Json => data(machine(&examinations, verdict, language)),
    };
    if said == End::Done { verdict.into() } else { said }
}

fn read(file: Option<&Path>, clock: &dyn Clock) -> Result<Config, Problems> {
    config::load_to_examine(file, environment()?, clock.now())
}

/// Nothing examined must not look like all is well.
fn nothing_to_do(config: &Config, only: Option<&str>, language: Language) -> Option<String> {
    let mut names = config.registrations.iter().map(|settings| settings.registration.name.as_str());
    match only {
        Some(wanted) if !names.any(|name| name == wanted) => {
            Some(words::no_such_registration(wanted, language))
        }
        None if names.next().is_none() => Some(words::no_registration(language).to_owned()),
        _ => None,
    }
}

/// A block per registration, a line per check.
fn text(examinations: &[Examination], language: Language) -> String {
    let block = |examined: &Examination| {
        let mut lines = vec![format!("{} ({})", examined.registration, examined.provider)];
        lines.extend(examined.findings.iter().map(|finding| line(finding, language)));
        lines.join("\n")
    };
    examinations.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn line(finding: &Finding, language: Language) -> String {
    let name = words::check(finding.check, language);
    let status = words::status(&finding.outcome, language);
    let more = match &finding.outcome {
        Outcome::Well(proof) => words::proof(finding.check, proof, language),
        Outcome::Warning(fault) | Outcome::Failed(fault) => {
            let told = words::fault(fault, language);
            format!("{} {}", told.what, told.fix)
        }
        Outcome::NotReached => String::new(),
    };
    format!("  {status:<12} {name:<28} {more}").trim_end().to_owned()
}

fn machine(examinations: &[Examination], verdict: Verdict, language: Language) -> Value {
    let registrations: Vec<_> = examinations
        .iter()
        .map(|examined| {
            json!({
                "registration": examined.registration.as_str(),
                "provider": examined.provider.as_str(),
                "status": Verdict::of_all(examined.findings.iter()).as_str(),
                "checks": examined.findings.iter().map(|finding| check(finding, language)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "status": verdict.as_str(), "registrations": registrations })
}

fn check(finding: &Finding, language: Language) -> Value {
    let name = finding.check.as_str();
    match &finding.outcome {
        Outcome::Well(proof) => {
            let detail = printable(&words::proof(finding.check, proof, language));
            let mut said = json!({ "check": name, "status": "ok" });
            if !detail.is_empty() {
                said["detail"] = json!(detail);
            }
            said
        }
        Outcome::NotReached => json!({ "check": name, "status": "not_reached" }),
        Outcome::Warning(fault) | Outcome::Failed(fault) => {
            let told = words::fault(fault, language);
            json!({
                "check": name,
                "status": Verdict::of(&finding.outcome).as_str(),
                "code": fault.code(),
                "what": printable(&told.what),
                "fix": printable(told.fix),
            })
        }
    }
}
