//! Opaque tokens: 256 random bits as text, remembered by the server as a SHA-256 digest only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a token or of a client secret.
pub(super) type Digest = [u8; 32];

/// Digest of a text that a client presented.
pub(super) fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// A token about to be issued: the text for the client, the digest for the store.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) digest: Digest,
}

impl Token {
    /// A new token from the operating system's random source.
    pub(super) fn random() -> Self {
        Self::from_bytes(random_bytes())
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let digest = digest(&text);
        Self { text, digest }
    }
}

/// The two tokens that one answer carries.
pub(super) struct Minted {
    pub(super) access: Token,
    pub(super) refresh: Token,
}

impl Minted {
    /// Two new random tokens.
    pub(super) fn random() -> Self {
        Self { access: Token::random(), refresh: Token::random() }
    }
}

/// Key from which idempotent rotation derives successors.
///
/// The store keeps no token text, yet idempotent rotation must hand out the very same successor
/// twice. So the successor is a keyed hash of its predecessor: whoever presents the predecessor
/// brings what is needed to compute it again, and without the key nobody can.
pub(super) struct SuccessorKey([u8; 32]);

impl SuccessorKey {
    /// A new random key.
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }

    /// The one successor of `predecessor`.
    pub(super) fn successor_of(&self, predecessor: &Digest) -> Token {
        // Key and input have fixed lengths, so that a plain prefix-keyed hash has no extension to
        // fear.
        let hash = Sha256::new().chain_update(self.0).chain_update(predecessor);
        Token::from_bytes(hash.finalize().into())
    }
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system always has random bytes to give");
    bytes
}
