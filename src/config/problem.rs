//! What is wrong with a configuration, and what to do about it.
//!
//! A problem never quotes a value that may be secret.

use std::fmt;

/// One thing that is wrong, or that deserves attention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The key, dotted (`registrations.lps-bas.client_secret`); empty where the file as a whole is meant.
    pub path: String,
    /// Where the value came from, if it came from anywhere.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub what: String,
    /// What to do; empty where `what` says it.
    pub fix: String,
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The configuration file, at this line.
    Line(usize),
    /// This environment variable.
    Environment(String),
    /// A command-line flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "configuration" } else { &self.path };
        f.write_str(path)?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.what)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", self.fix) }
    }
}

/// Every problem of a configuration: never empty.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
