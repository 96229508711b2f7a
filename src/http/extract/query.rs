//! Query parameters: each at most once, none that the call does not know.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::http::json::FieldError;
use crate::http::problem::Problem;

/// The query, being read.
pub(in crate::http) struct Query {
    parameters: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn of(query: &str) -> Self {
        let mut read = Self { parameters: Vec::new(), errors: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if read.parameters.iter().any(|(known, _)| *known == name) {
                read.refuse(&name, "duplicate_parameter", "appears more than once");
            } else {
                read.parameters.push((name.into_owned(), value.into_owned()));
            }
        }
        read
    }

    /// A parameter's value.
    pub(in crate::http) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.parameters.iter().position(|(known, _)| known == name)?;
        Some(self.parameters.swap_remove(place).1)
    }

    /// A parameter that is `true` or `false`.
    pub(in crate::http) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.take(name).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.refuse(name, "enum", "must be true or false");
                default
            }
        }
    }

    /// Notes a problem of a parameter.
    pub(in crate::http) fn refuse(&mut self, name: &str, rule: &'static str, message: &str) {
        let name: String = name.chars().take(64).collect();
        self.errors.push(FieldError::new(format!("?{name}"), rule, message));
    }

    /// Notes a problem of a header that belongs to the same question.
    pub(in crate::http) fn refuse_header(&mut self, name: &str, rule: &'static str, message: &str) {
        self.errors.push(FieldError::new(name, rule, message));
    }

    /// Ends the reading: what nobody took is unknown.
    pub(in crate::http) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.parameters) {
            self.refuse(&name, "unknown_parameter", "is not a parameter of this call");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid_request(self.errors)) }
    }

    /// What is wrong so far.
    #[cfg(test)]
    pub(super) fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let mut query = Query::of("touch=false&x=1&touch=true&y");
        assert!(!query.flag("touch", true));
        assert_eq!(query.errors()[0].pointer, "?touch");
        assert_eq!(query.errors()[0].rule, "duplicate_parameter");
        assert!(query.finish().is_err());
        let mut query = Query::of("touch=yes");
        assert!(query.flag("touch", true));
        assert_eq!(query.errors()[0].rule, "enum");
        assert!(Query::of("more=1").finish().is_err());
        assert!(Query::of("").finish().is_ok());
    }
}
