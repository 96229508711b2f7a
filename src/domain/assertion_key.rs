//! Public keys that applications sign their assertions with (RFC 7523, RFC 7517). Nothing here is secret.

/// The most keys of one application with one name: an assertion is tried with each, and costs whoever sends it nothing.
pub const SAME_KID: usize = 2;

/// How an assertion is signed (RFC 7518 §3.1, RFC 8037 §3.1). No symmetric algorithm, no `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssertionAlg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl AssertionAlg {
    /// Every one that is accepted.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// As the `alg` header writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm that [`AssertionAlg::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }
}

/// The numbers of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyMaterial {
    /// RSA, big-endian.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: Vec<u8>,
    },
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
    /// An Ed25519 key.
    Ed25519(Vec<u8>),
}

impl KeyMaterial {
    /// How many bytes a signature of it has (RFC 7518 §3.3 to §3.5, RFC 8032 §5.1.6).
    #[must_use]
    pub fn signature_length(&self) -> usize {
        match self {
            Self::Rsa { modulus, .. } => modulus.len(),
            Self::P256(_) | Self::Ed25519(_) => 64,
        }
    }
}

/// One key of an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssertionKey {
    /// Its name, where it has one.
    pub kid: Option<String>,
    /// RFC 7638, SHA-256: what it is called here, whatever its owner calls it.
    pub thumbprint: String,
    /// What it may sign with: decided by its type and, where it says so, its `alg`; never by an assertion.
    pub algs: Vec<AssertionAlg>,
    /// The key itself.
    pub material: KeyMaterial,
}
