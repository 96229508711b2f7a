//! The shape of every ciphertext: suite (1 byte), nonce (12 bytes), AES-256-GCM ciphertext, tag (16 bytes).
//!
//! The suite byte says how to read the rest, so that another algorithm can stand beside this one. Nonces are drawn
//! at random: a data key seals a handful of values, and a ring key far less than 2³² (NIST SP 800-38D §8.3).

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::error::Unspecified;

use crate::domain::random::Random;
use crate::domain::secret::SecretBytes;

/// AES-256-GCM with a random 96-bit nonce.
pub const SUITE: u8 = 1;

const HEADER: usize = 1 + NONCE_LEN;
const TAG: usize = 16;

/// Seals `plaintext` so that it opens only with the same `key` and the same `aad`.
pub fn close(
    key: &LessSafeKey,
    random: &dyn Random,
    aad: &str,
    plaintext: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    // Reserved at once: a buffer that grows would leave a copy of the plaintext behind.
    let mut sealed = Vec::with_capacity(HEADER + plaintext.len() + TAG);
    sealed.push(SUITE);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let (_, text) = sealed.split_at_mut(HEADER);
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`close`] sealed.
///
/// Errors: anything else than what was sealed, with whatever difference; which one is not told.
pub fn open(key: &LessSafeKey, aad: &str, sealed: &[u8]) -> Result<SecretBytes, Unspecified> {
    let (header, text) = sealed.split_at_checked(HEADER).ok_or(Unspecified)?;
    let (suite, nonce) = header.split_first().ok_or(Unspecified)?;
    if *suite != SUITE {
        return Err(Unspecified);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let mut buffer = zeroize::Zeroizing::new(text.to_vec());
    let length = key.open_in_place(nonce, Aad::from(aad), &mut buffer)?.len();
    buffer.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
}
