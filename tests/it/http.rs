//! The client API and the operations listener: the real routers over the real engine and SQLite, with a provider that
//! answers what the test says and a clock driven by hand. Sockets are left out: `net` has its own tests.

mod exchange;
mod lines;
mod logins;
mod openapi;
mod operations;
mod polls;
mod provider;
mod providers;
mod refusals;
mod sessions;
mod waiting;
mod world;
