//! The HTTP faces: extract, call one use case, answer.
//!
//! One router per listener: [`clients`] is the client API, [`providers`]
//! is what providers call, [`ops`] is health and metrics. A handler extracts, makes
//! one engine call and answers; it decides nothing. Every refusal is a [`problem::Problem`], which is rendered in one
//! place ([`front`]), so that no internal text can leave. This module knows no store and no provider client.

pub mod clients;
mod extract;
mod front;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod json;
pub mod openapi;
pub mod ops;
mod problem;
pub mod providers;
