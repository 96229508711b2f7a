use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::engine::ports::Targets as _;
use crate::net::testing::{Pki, identity};

/// Targets at which one registration has a certificate while the switch says so.
fn targets(pki: &Pki) -> (Targets, Arc<AtomicBool>) {
    let is_there = Arc::new(AtomicBool::new(true));
    let shown = identity(&pki.client("lps"));
    let asked = is_there.clone();
    let certificates: CertificateSource = Arc::new(move |registration, x5t| {
        assert_eq!((registration.as_str(), x5t), ("lps", "thumbprint"));
        asked.load(Ordering::SeqCst).then(|| shown.clone())
    });
    let settings = TargetSettings {
        name: "dmp".parse().expect("a name"),
        roots_pem: Some(pki.ca.certificate().into_bytes()),
        allow_private_addresses: true,
        https_only: true,
        timeout: Duration::from_secs(30),
    };
    (Targets::new(vec![settings], certificates).expect("targets"), is_there)
}

#[test]
fn a_certificate_that_has_gone_is_not_used_and_leaves_memory() {
    let (target, registration) = ("dmp".parse().expect("a name"), "lps".parse().expect("a name"));
    let (targets, is_there) = targets(&Pki::new());
    let client = |x5t| targets.client(&target, &registration, x5t).map(|_| ());
    assert_eq!((client(Some("thumbprint")), client(None)), (Ok(()), Ok(())));
    targets.tidy();
    assert_eq!(targets.lock().len(), 2, "both are in use");
    is_there.store(false, Ordering::SeqCst);
    assert_eq!(
        client(Some("thumbprint")),
        Err(TargetError::Unreachable),
        "although its client was made before"
    );
    targets.tidy();
    let left: Vec<_> = targets.lock().keys().map(|(_, _, x5t)| x5t.clone()).collect();
    assert_eq!(left, [None], "its connections and its key have gone");
    assert_eq!(client(None), Ok(()), "who needs none is not concerned");
}
