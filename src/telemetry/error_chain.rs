//! Writes an error with everything that caused it, for logs.

use std::error::Error;
use std::fmt;

/// An error and its sources, joined by colons: our `Display` texts never contain their source.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the login could not be read")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_whole_chain_is_written_once() {
        let error = Outer(std::io::Error::other("connection reset"));
        assert_eq!(ErrorChain(&error).to_string(), "the login could not be read: connection reset");
    }
}
