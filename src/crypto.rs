//! Keys, seals, hashes and certificates: everything cryptographic that is not TLS itself.

pub mod ring {
    //! The key ring.

    /// A keyed hash and the ring key it was made with.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct KeyedHash {
        /// The ring key.
        pub key_id: String,
        /// HMAC-SHA-256.
        pub hash: [u8; 32],
    }

    /// A person's keyed pseudonym.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Pseudonym([u8; 32]);
}
