//! Every key that a configuration may hold: the one source for refusing unknown ones, for reading the
//! environment, and for the test of `config/relais.example.toml`.
//!
//! A section that reads a key which is not listed here fails its tests: the key would be refused before.

/// What kind of value a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any text. In the environment it needs no quotes.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A list of texts.
    Texts,
    /// A list of `{ cert = "…", key = "…" }`.
    Pairs,
    /// A table of texts whose keys are free.
    Parameters,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The dotted path; `*` stands for a name.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

/// All keys that this version knows.
pub const ALL: &[Key] = &[
    key("mode", Kind::Text),
    key("store.url", Kind::Text),
    key("store.url_file", Kind::Text),
    key("store.listen_url", Kind::Text),
    key("store.listen_url_file", Kind::Text),
    key("keys.active", Kind::Text),
    key("keys.pseudonym", Kind::Text),
    key("keys.ring.*.file", Kind::Text),
    key("listeners.clients.bind", Kind::Text),
    key("listeners.clients.public_url", Kind::Text),
    key("listeners.clients.tls", Kind::Pairs),
    key("listeners.clients.client_ca", Kind::Text),
    key("listeners.clients.max_connections", Kind::Number),
    key("listeners.clients.max_requests", Kind::Number),
    key("listeners.providers.bind", Kind::Text),
    key("listeners.providers.public_url", Kind::Text),
    key("listeners.providers.tls", Kind::Pairs),
    key("listeners.ops.bind", Kind::Text),
    key("providers.*.profile", Kind::Text),
    key("providers.*.environment", Kind::Text),
    key("providers.*.enabled", Kind::Flag),
    key("providers.*.issuer", Kind::Text),
    key("providers.*.metadata_url", Kind::Text),
    key("providers.*.ca", Kind::Text),
    key("registrations.*.provider", Kind::Text),
    key("registrations.*.enabled", Kind::Flag),
    key("registrations.*.client_id", Kind::Text),
    key("registrations.*.auth", Kind::Text),
    key("registrations.*.client_secret", Kind::Text),
    key("registrations.*.client_secret_file", Kind::Text),
    key("registrations.*.certificates", Kind::Pairs),
    key("registrations.*.signing_key", Kind::Text),
    key("registrations.*.signing_alg", Kind::Text),
    key("registrations.*.published_keys", Kind::Texts),
    key("registrations.*.assertion_audience", Kind::Text),
    key("registrations.*.assertion_typ", Kind::Text),
    key("registrations.*.signed_requests", Kind::Flag),
    key("registrations.*.delivery", Kind::Text),
    key("registrations.*.scope", Kind::Text),
    key("registrations.*.acr_values", Kind::Texts),
    key("registrations.*.id_token_algs", Kind::Texts),
    key("registrations.*.channels", Kind::Texts),
    key("registrations.*.request_lifetime", Kind::Text),
    key("registrations.*.max_age", Kind::Text),
    key("registrations.*.request_context", Kind::Flag),
    key("registrations.*.extra_parameters", Kind::Parameters),
    key("registrations.*.claims.national_id", Kind::Text),
    key("registrations.*.claims.name", Kind::Text),
    key("registrations.*.claims.given_name", Kind::Text),
    key("registrations.*.claims.family_name", Kind::Text),
    key("registrations.*.claims.groups", Kind::Text),
    key("registrations.*.claims.exercices", Kind::Text),
    key("registrations.*.claims.exercice.profession", Kind::Text),
    key("registrations.*.claims.exercice.savoir_faire", Kind::Text),
    key("registrations.*.claims.exercice.mode", Kind::Text),
    key("registrations.*.claims.exercice.role", Kind::Text),
    key("registrations.*.claims.exercice.site.name", Kind::Text),
    key("registrations.*.claims.exercice.site.siret", Kind::Text),
    key("registrations.*.claims.exercice.site.finess", Kind::Text),
    key("registrations.*.claims.exercice.site.structure_id", Kind::Text),
    key("registrations.*.claims.exercice.site.postal_code", Kind::Text),
    key("applications.*.kind", Kind::Text),
    key("applications.*.tenant", Kind::Text),
    key("applications.*.enabled", Kind::Flag),
    key("applications.*.registrations", Kind::Texts),
    key("applications.*.acts_for", Kind::Texts),
    key("applications.*.auth", Kind::Text),
    key("applications.*.secret", Kind::Text),
    key("applications.*.secret_file", Kind::Text),
    key("applications.*.jwks_file", Kind::Text),
    key("applications.*.certificate_sha256", Kind::Texts),
    key("applications.*.tls_client_auth_subject_dn", Kind::Text),
    key("applications.*.tls_client_auth_san_dns", Kind::Text),
    key("applications.*.binding_message", Kind::Text),
    key("applications.*.reveal_unknown_person", Kind::Flag),
    key("applications.*.session.idle", Kind::Text),
    key("applications.*.session.absolute", Kind::Text),
    key("applications.*.session.per_person", Kind::Number),
    key("applications.*.pick_up_window", Kind::Text),
    key("applications.*.pick_up_repeat", Kind::Text),
    key("targets.*.url", Kind::Text),
    key("targets.*.environment", Kind::Text),
    key("targets.*.enabled", Kind::Flag),
    key("targets.*.ca", Kind::Text),
    key("targets.*.registrations", Kind::Texts),
    key("targets.*.applications", Kind::Texts),
    key("targets.*.methods", Kind::Texts),
    key("targets.*.paths", Kind::Texts),
    key("targets.*.request_max", Kind::Text),
    key("targets.*.max_requests", Kind::Number),
    key("targets.*.timeout", Kind::Text),
    key("targets.*.exchange.token_endpoint", Kind::Text),
    key("targets.*.exchange.ca", Kind::Text),
    key("targets.*.exchange.client_id", Kind::Text),
    key("targets.*.exchange.auth", Kind::Text),
    key("targets.*.exchange.client_secret", Kind::Text),
    key("targets.*.exchange.client_secret_file", Kind::Text),
    key("targets.*.exchange.audience", Kind::Text),
    key("targets.*.exchange.resource", Kind::Text),
    key("targets.*.exchange.scope", Kind::Text),
    key("targets.*.exchange.subject_token_type", Kind::Text),
    key("targets.*.exchange.subject_issuer", Kind::Text),
    key("targets.*.exchange.cnf", Kind::Text),
    key("targets.*.exchange.actor_token", Kind::Text),
];

/// Keys and sections of the documented format that this version does not offer yet.
pub const LATER: &[&str] = &["listeners.admin"];

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A key with a value of this kind.
    Key(Kind),
    /// A section: keys below it exist.
    Section,
    /// Something that a later version will offer.
    Later,
    /// Nothing.
    Nothing,
}

/// What stands at the path made of `segments`.
pub fn place(segments: &[&str]) -> Place {
    if LATER.iter().any(|path| matches(path, segments) == Some(true)) {
        return Place::Later;
    }
    let mut below = false;
    for key in ALL {
        match matches(key.path, segments) {
            Some(true) => return Place::Key(key.kind),
            Some(false) => below = true,
            None => {}
        }
    }
    if below { Place::Section } else { Place::Nothing }
}

/// `Some(true)`: the pattern is this path; `Some(false)`: the path leads to it.
fn matches(pattern: &str, segments: &[&str]) -> Option<bool> {
    let mut pattern = pattern.split('.');
    for segment in segments {
        let part = pattern.next()?;
        if part != "*" && part != *segment {
            return None;
        }
    }
    Some(pattern.next().is_none())
}

/// The segments that may follow `parent`; `*` for a name.
pub fn children(parent: &[&str]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = ALL
        .iter()
        .filter(|key| matches(key.path, parent) == Some(false))
        .filter_map(|key| key.path.split('.').nth(parent.len()))
        .collect();
    found.dedup();
    found
}

/// The environment variable that sets the key at `path`: `RELAIS__REGISTRATIONS__LPS_BAS__CLIENT_ID`.
pub fn environment_name(path: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", path.replace('.', "__").replace('-', "_").to_ascii_uppercase())
}

/// What the names of environment variables begin with.
pub const ENVIRONMENT_PREFIX: &str = "RELAIS__";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_key_a_section_something_later_or_nothing() {
        assert_eq!(place(&["mode"]), Place::Key(Kind::Text));
        assert_eq!(place(&["registrations", "any-name", "enabled"]), Place::Key(Kind::Flag));
        assert_eq!(place(&["registrations", "any-name"]), Place::Section);
        assert_eq!(place(&["listeners", "admin"]), Place::Later);
        assert_eq!(place(&["targets", "dmp", "exchange"]), Place::Section);
        assert_eq!(place(&["applications", "a", "acts_for"]), Place::Key(Kind::Texts));
        assert_eq!(place(&["mode", "x"]), Place::Nothing);
        assert_eq!(place(&["stor"]), Place::Nothing);
    }

    #[test]
    fn every_key_is_listed_once() {
        for (index, key) in ALL.iter().enumerate() {
            assert!(!ALL[..index].iter().any(|other| other.path == key.path), "{}", key.path);
        }
    }
}
