//! Every ending of a login and of a session: what the client sees, when, what the provider is told, and that nothing else is
//! sent afterwards.

mod at_provider;
mod backchannel_logout;
mod limits;
mod logins;
mod pick_up;
mod sessions;
mod shared_workstation;
mod slots;
mod unknown_person;
