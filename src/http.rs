//! The HTTP faces: extract, call one use case, answer.
