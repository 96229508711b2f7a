//! Every ending of a login and of a session: what the client sees, when, and that nothing is sent afterwards.

mod logins;
mod pick_up;
mod sessions;
mod slots;
mod unknown_person;
