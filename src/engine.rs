//! The login engine: one use case per file, over the ports that it declares.
//!
//! The engine decides; adapters carry. It sees no ciphertext, no SQL, no HTTP. Every state change is one method of
//! [`ports::Store`], won by exactly one caller; time and randomness come in through the domain's traits. Work that
//! changes state runs in tracked, detached tasks: a client that hangs up changes nothing.

pub mod ports;
