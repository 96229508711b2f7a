//! Which of several server certificates a client is shown: the first whose key can make a signature that the
//! client verifies. Old Windows clients offer no RSA-PSS and need ECDSA; others have no ECDSA.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

#[derive(Debug)]
pub(super) struct BySignatureScheme {
    keys: Vec<Arc<CertifiedKey>>,
}

impl BySignatureScheme {
    pub(super) fn new(keys: Vec<Arc<CertifiedKey>>) -> Self {
        Self { keys }
    }
}

impl ResolvesServerCert for BySignatureScheme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The schemes are already those that the client's cipher suites can use.
        let offered = hello.signature_schemes();
        let fitting = self.keys.iter().find(|key| key.key.choose_scheme(offered).is_some());
        // With none fitting, the first makes the library answer with the right alert.
        fitting.or(self.keys.first()).cloned()
    }
}
