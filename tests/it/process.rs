//! Relais from outside, as its users have it: the built binary, real HTTP, real TLS, processes of their own.

mod bench;
mod bind;
mod certificates;
mod crashes;
mod demo;
mod doctor;
mod login_verb;
mod nodes;
mod operations;
mod ports;
mod practice;
mod random_kills;
mod refresh;
mod running;
mod sign_in;
mod site;
