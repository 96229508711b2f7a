//! Keys, seals, hashes and certificates: everything cryptographic that is not TLS itself.
