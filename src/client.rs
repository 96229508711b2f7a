//! A typed thick client of the client API.
