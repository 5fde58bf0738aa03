//! Public keys: a JWK set (RFC 7517), and the verification of signatures (RFC 7515).

use std::string::String;
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
#[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A public key, as a key set has it. Other members are of no use here.
#[derive(Serialize, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing, rename = "use")]
    purpose: Option<String>,
    #[serde(default, skip_serializing)]
    key_ops: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

/// A JWK set (RFC 7517, section 5).
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

/// The keys of a document that can verify signatures. Others are skipped: of another purpose, of an
/// unsupported type, or malformed. `None` if it is not a key set.
pub(super) fn usable(document: &[u8]) -> Option<Vec<Jwk>> {
    let set: JwkSet = serde_json::from_slice(document).ok()?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Some(keys.filter(|key| Key::new(key).is_some()).collect())
}

/// A key that verifies signatures, by one algorithm.
pub(super) struct Key {
    id: Option<String>,
    public: Public,
}

enum Public {
    Ed25519(VerifyingKey),
    #[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
    Backend(Algorithm, DecodingKey),
}

impl Key {
    /// Returns a key; `None` if it is not for verifying signatures, or not of a supported type.
    pub(super) fn new(jwk: &Jwk) -> Option<Self> {
        let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies = |all: &Vec<String>| all.iter().any(|one| one == "verify");
        if !signs || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let public = match jwk.kty.as_str() {
            "OKP" => ed25519(jwk)?,
            #[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
            "RSA" | "EC" => backend::key(jwk)?,
            _ => return None,
        };
        Some(Self { id: jwk.kid.clone(), public })
    }

    /// Returns the name of the key, if it has one.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whether this is the algorithm of the key. Rule D8: "under the algorithm of the key and
    /// not of the token's header" (RFC 8725, section 3.1).
    pub(super) fn is_for(&self, algorithm: &str) -> bool {
        match &self.public {
            // RFC 8037 has the first name, RFC 9864 the second.
            Public::Ed25519(_) => matches!(algorithm, "EdDSA" | "Ed25519"),
            #[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
            Public::Backend(own, _) => algorithm.parse().is_ok_and(|said: Algorithm| said == *own),
        }
    }

    /// Returns whether `signature` is this key's over `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Ed25519(key) => {
                let signature = Signature::from_slice(signature);
                signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            #[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
            Public::Backend(algorithm, key) => {
                backend::has_signed(*algorithm, key, message, signature)
            }
        }
    }
}

fn ed25519(jwk: &Jwk) -> Option<Public> {
    let of_algorithm = matches!(jwk.alg.as_deref(), None | Some("EdDSA" | "Ed25519"));
    if !of_algorithm || jwk.crv.as_deref() != Some("Ed25519") {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(jwk.x.as_ref()?).ok()?;
    let key = VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()?;
    // A signature by such a key is good for any message.
    (!key.is_weak()).then_some(Public::Ed25519(key))
}

/// RSA and ECDSA, by a backend of `jsonwebtoken`. The provider of the process is neither asked nor
/// installed.
#[cfg(any(feature = "jwt-rust-crypto", feature = "jwt-aws-lc"))]
mod backend {
    use std::vec::Vec;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    #[cfg(feature = "jwt-aws-lc")]
    use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    #[cfg(not(feature = "jwt-aws-lc"))]
    use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
    use jsonwebtoken::{Algorithm, DecodingKey};

    use super::{Jwk, Public};

    /// The shortest modulus, in bytes (RFC 7518, section 3.3).
    const SHORTEST: usize = 2048 / 8;

    pub(super) fn key(jwk: &Jwk) -> Option<Public> {
        let (algorithm, key) = match jwk.kty.as_str() {
            "RSA" => rsa(jwk)?,
            _ => ec(jwk)?,
        };
        Some(Public::Backend(algorithm, key))
    }

    fn rsa(jwk: &Jwk) -> Option<(Algorithm, DecodingKey)> {
        let (modulus, exponent) = (jwk.n.as_ref()?, jwk.e.as_ref()?);
        let length = URL_SAFE_NO_PAD.decode(modulus).ok()?;
        if length.iter().skip_while(|byte| **byte == 0).count() < SHORTEST {
            return None;
        }
        let algorithm = match jwk.alg.as_deref() {
            // Some issuers state none.
            None | Some("RS256") => Algorithm::RS256,
            Some("RS384") => Algorithm::RS384,
            Some("RS512") => Algorithm::RS512,
            Some("PS256") => Algorithm::PS256,
            Some("PS384") => Algorithm::PS384,
            Some("PS512") => Algorithm::PS512,
            Some(_) => return None,
        };
        Some((algorithm, DecodingKey::from_rsa_components(modulus, exponent).ok()?))
    }

    fn ec(jwk: &Jwk) -> Option<(Algorithm, DecodingKey)> {
        let algorithm = match (jwk.crv.as_deref()?, jwk.alg.as_deref()) {
            ("P-256", None | Some("ES256")) => Algorithm::ES256,
            ("P-384", None | Some("ES384")) => Algorithm::ES384,
            _ => return None,
        };
        let key = DecodingKey::from_ec_components(jwk.x.as_ref()?, jwk.y.as_ref()?).ok()?;
        Some((algorithm, key))
    }

    pub(super) fn has_signed(
        algorithm: Algorithm,
        key: &DecodingKey,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key);
        let signature: Vec<u8> = signature.to_vec();
        verifier.is_ok_and(|verifier| verifier.verify(message, &signature).is_ok())
    }
}
