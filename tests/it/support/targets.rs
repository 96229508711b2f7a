//! A target as configuration makes it, for what takes one without a configuration.

use std::time::Duration;

use relais::domain::registration::Environment;
use relais::domain::target::{
    ActorTokenKind, Cnf, ExchangeAuth, ExchangeParameters, SubjectTokenType, Target,
};

/// One that asks for nothing but a token, at this endpoint. Nobody may call it.
pub fn target(name: &str, token_endpoint: &str) -> Target {
    Target {
        name: name.parse().expect("a name"),
        url: "https://api.example/fhir/".parse().expect("a URL"),
        environment: Environment::Test,
        enabled: true,
        registrations: Vec::new(),
        applications: Vec::new(),
        methods: Vec::new(),
        paths: Vec::new(),
        request_max: 0,
        max_requests: 1,
        timeout: Duration::from_secs(1),
        exchange: ExchangeParameters {
            token_endpoint: token_endpoint.parse().expect("a URL"),
            audience: None,
            resource: None,
            scope: None,
            subject_token_type: SubjectTokenType::AccessToken,
            subject_issuer: None,
            cnf: Cnf::None,
            actor_token: ActorTokenKind::None,
            client_id: None,
            auth: ExchangeAuth::OfRegistration,
        },
    }
}
