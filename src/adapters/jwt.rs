//! Access tokens as signed JWTs (RFC 7519, in the profile of RFC 9068), with `jsonwebtoken`.
//!
//! ```
//! use perennial::adapters::jwt::{Jwt, SigningKey};
//! use perennial::issue::{Issuer, Keys, MemoryFamilies};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::ed25519([7; 32]); // from your secret store
//! let tokens = Jwt::new("https://auth.example.com", "https://api.example.com", key);
//! println!("{}", tokens.jwks()); // for resource servers that verify by themselves
//! let issuer = Issuer::builder(Keys::new([8; 32])?, MemoryFamilies::new())
//!     .access_tokens(tokens)
//!     .build();
//! # let _ = issuer;
//! # Ok(())
//! # }
//! ```
//!
//! A resource server that verifies such a token by itself (`adapters::resource_server`) accepts it until
//! it expires, even if the family was revoked. [`Issuer::authenticate`](crate::issue::Issuer::authenticate) also checks the
//! family.
//!
//! # The backend of `jsonwebtoken`
//!
//! `jsonwebtoken` signs and verifies by a `CryptoProvider` of which a process has one: the first that is
//! installed, or else, at its first use, the only one that is compiled in; with none or with two it
//! panics there. The choice belongs to the program. This module reads and writes headers with that
//! crate, signs and verifies by itself (`ed25519-dalek`, `hmac`), and neither installs nor asks a
//! provider: with any backend, with both and with none it works alike.
//!
//! A program that calls `jsonwebtoken` itself chooses by its features `rust_crypto` and `aws_lc_rs`, or by
//! those of this crate that pass them on, `jwt-rust-crypto` and `jwt-aws-lc`. Where both are on, whoever
//! turned them on, it installs one before its first use:
//!
//! ```
//! # use perennial::adapters::jwt::{Jwt, SigningKey};
//! # use perennial::issue::{AccessTokens as _, Claims, FamilyId, Identity};
//! # use perennial::time::Timestamp;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (family, at) = (FamilyId::from_bytes([1; 16]), Timestamp::from_secs);
//! # let claims = Claims { family, number: 1, issued_at: at(1), expires_at: at(2), id: 3 };
//! # let identity = Identity::new("ada", "app");
//! # for key in [SigningKey::ed25519([7; 32]), SigningKey::hs256([7; 32])?] {
//! #     let tokens = Jwt::new("https://auth.example.com", "https://api.example.com", key);
//! #     let token = tokens.mint(&claims, &identity)?;
//! #     assert_eq!(tokens.verify(token.expose())?.0, claims); // and still nobody has chosen
//! # }
//! use jsonwebtoken::crypto::rust_crypto;
//!
//! rust_crypto::DEFAULT_PROVIDER.install_default().expect("nobody has installed one before");
//! # Ok(())
//! # }
//! ```
//!
//! An audit of a build with `jwt-rust-crypto` reports RUSTSEC-2023-0071 (the Marvin attack) for the crate
//! `rsa`, which that backend brings: timing tells of private RSA keys, and no fixed version is out. It
//! concerns a program that signs with RSA keys through `jsonwebtoken`, and no key of this module, which are
//! for `EdDSA` and HS256. Verifying needs no private key. No other feature of this crate brings `rsa`.

use core::fmt;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _};
use hmac::{Hmac, Mac as _};
use jsonwebtoken::{Algorithm, Header, decode_header};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error as ThisError;

use crate::issue::{
    AccessTokens, Claims, FamilyId, Identity, MintError, OwnClaims, Principal, VerifyError,
};
use crate::store::StoreError;
use crate::time::{Span, Timestamp};
use crate::token::Secret;

/// The maximum length of a token, in bytes: servers take headers of 8 KiB, most of them.
const LONGEST: usize = 4096;

/// The length of the longer of the encoded signatures (`EdDSA`), and the dot before it.
const SIGNATURE: usize = 87;

/// The `typ` header of an access token (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// Makes and verifies access tokens of one issuer for one resource server.
#[derive(Clone)]
pub struct Jwt {
    issuer: String,
    audience: String,
    current: SigningKey,
    older: Vec<SigningKey>,
}

impl Jwt {
    /// Returns a format for tokens of `issuer` (`iss`) for `audience` (`aud`), signed with `key`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, key: SigningKey) -> Self {
        let (issuer, audience) = (issuer.into(), audience.into());
        Self { issuer, audience, current: key, older: Vec::new() }
    }

    /// Adds `key` as one that only verifies tokens: a previous signing key, or the next one, so
    /// that resource servers know it in time.
    #[must_use]
    pub fn and_older(mut self, key: SigningKey) -> Self {
        self.older.push(key);
        self
    }

    /// Returns the public keys as a JWK Set (RFC 7517, section 5). Shared keys have none.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys().filter_map(|key| key.public.clone()).collect::<Vec<_>>() })
    }

    fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        core::iter::once(&self.current).chain(&self.older)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Jwt")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("current", &self.current)
            .field("older", &self.older)
            .finish()
    }
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    private: Arc<Private>,
    public: Option<Value>,
}

/// The private part of a key. Signing is done here, since `jsonwebtoken` does not zeroise keys, and so
/// is verifying, which there asks the provider that the whole process shares. The key stays in one
/// place in memory, which its owners share.
enum Private {
    Ed25519(ed25519_dalek::SigningKey),
    Shared(Zeroizing<Vec<u8>>),
}

impl Private {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::Shared(_) => Algorithm::HS256,
        }
    }

    /// Returns the encoded signature of the first two parts of a token (RFC 7515, section 5.1).
    fn sign(&self, parts: &str) -> String {
        match self {
            Self::Ed25519(key) => URL_SAFE_NO_PAD.encode(key.sign(parts.as_bytes()).to_bytes()),
            Self::Shared(key) => URL_SAFE_NO_PAD.encode(mac(key, parts).finalize().into_bytes()),
        }
    }

    /// Returns the payload of a token that this key has signed, with the key's own algorithm,
    /// whatever the token's header says (RFC 8725, section 3.1).
    fn payload(&self, token: &str, said: Algorithm) -> Option<Payload> {
        let (parts, signature) = token.rsplit_once('.')?;
        let (_, payload) = parts.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        match self {
            Self::Ed25519(key) => {
                key.verify(parts.as_bytes(), &Signature::from_slice(&signature).ok()?).ok()?;
            }
            // Rule D4: "what is presented MUST be compared in constant time".
            Self::Shared(key) => mac(key, parts).verify_slice(&signature).ok()?,
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        (said == self.algorithm()).then(|| serde_json::from_slice(&payload).ok())?
    }
}

/// Returns the MAC over a text (RFC 7518, section 3.2).
fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.expect("a MAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

/// Why a key cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The key has fewer than 32 bytes, and could be guessed (RFC 7518, section 3.2).
    #[error("a key for HS256 has {0} bytes, and must have 32 or more, drawn at random")]
    TooShort(usize),
    /// The text is not an Ed25519 key in PKCS #8.
    #[error("not an Ed25519 key in PKCS #8, as `openssl genpkey -algorithm ed25519` writes it")]
    NotEd25519,
}

impl SigningKey {
    /// Returns a key for `EdDSA` (RFC 8037) from its 32 bytes. Any 32 bytes are a key.
    pub fn ed25519(seed: [u8; 32]) -> Self {
        Self::of_ed25519(&ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Returns a key for `EdDSA` from the PEM that `openssl genpkey -algorithm ed25519` writes.
    ///
    /// # Errors
    /// [`SigningKeyError::NotEd25519`].
    pub fn ed25519_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem);
        Ok(Self::of_ed25519(&key.map_err(|_| SigningKeyError::NotEd25519)?))
    }

    fn of_ed25519(key: &ed25519_dalek::SigningKey) -> Self {
        let public = key.verifying_key().to_bytes();
        let coordinate = URL_SAFE_NO_PAD.encode(public);
        // RFC 8037, appendix A.3: the members in this order, and nothing else.
        let canonical = std::format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{coordinate}"}}"#);
        let name = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Self {
            public: Some(json!({
                "kty": "OKP", "crv": "Ed25519", "x": coordinate,
                "kid": name, "use": "sig", "alg": "EdDSA",
            })),
            name,
            private: Arc::new(Private::Ed25519(key.clone())),
        }
    }

    /// Returns a key for HS256, which resource servers share to verify tokens; they could sign
    /// tokens as well.
    ///
    /// # Errors
    /// [`SigningKeyError::TooShort`].
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, SigningKeyError> {
        let secret = secret.as_ref();
        if secret.len() < 32 {
            return Err(SigningKeyError::TooShort(secret.len()));
        }
        let digest = Sha256::new().chain_update(b"perennial kid\0").chain_update(secret).finalize();
        Ok(Self {
            name: URL_SAFE_NO_PAD.encode(&digest[..6]),
            private: Arc::new(Private::Shared(Zeroizing::new(secret.to_vec()))),
            public: None,
        })
    }

    /// Returns the name of the key, which tokens carry as `kid`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("name", &self.name)
            .field("algorithm", &self.private.algorithm())
            .finish_non_exhaustive()
    }
}

/// The claims of such a token (RFC 9068, section 2.2).
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    iat: i64,
    exp: i64,
    jti: String,
    /// The family of refresh tokens.
    sid: String,
    /// The number of the refresh token issued with it.
    rtn: u64,
    /// The program's own claims.
    #[serde(flatten)]
    own: Map<String, Value>,
}

impl AccessTokens for Jwt {
    fn audience(&self) -> Option<&str> {
        Some(&self.audience)
    }

    fn mint(&self, claims: &Claims, identity: &Identity) -> Result<Secret, MintError> {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
        let payload = Payload {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: identity.subject.clone(),
            client_id: identity.client.clone(),
            scope: identity.scope.clone(),
            iat: seconds(claims.issued_at),
            // Rounded up, so that the token does not expire before the `expires_in` of the
            // response.
            exp: seconds(claims.expires_at.saturating_add(Span::from_millis(999))),
            jti: std::format!("{:032x}", claims.id),
            sid: std::format!("{}", claims.family),
            rtn: claims.number,
            own: identity.claims.members().clone(),
        };
        let header = Header {
            typ: Some(TYPE.into()),
            kid: Some(self.current.name.clone()),
            ..Header::new(self.current.private.algorithm())
        };
        let encoded = |json: serde_json::Result<Vec<u8>>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|error| {
                let text = "the access token could not be signed";
                MintError::Unavailable(StoreError::unreachable(text).with_source(error))
            })
        };
        let header = encoded(serde_json::to_vec(&header))?;
        let payload = encoded(serde_json::to_vec(&payload))?;
        let parts = std::format!("{header}.{payload}");
        let length = parts.len() + SIGNATURE;
        if length > LONGEST {
            let scope = identity.scope.as_ref().map_or(0, String::len);
            // Encoded, three bytes are four characters.
            let is_of_scope = length.saturating_sub(scope.div_ceil(3) * 4) <= LONGEST;
            return Err(if is_of_scope { MintError::ScopeTooLong } else { MintError::TooLong });
        }
        let signature = self.current.private.sign(&parts);
        // Allocated at its full length: a text that grew would leave copies of the token behind.
        let mut text = String::with_capacity(parts.len() + ".".len() + signature.len());
        text.push_str(&parts);
        text.push('.');
        text.push_str(&signature);
        Ok(Secret::from(text))
    }

    fn verify(&self, token: &str) -> Result<(Claims, Principal), VerifyError> {
        if token.len() > LONGEST {
            return Err(VerifyError);
        }
        let header = decode_header(token).map_err(|_| VerifyError)?;
        let is_access_token = header.typ.as_deref().is_some_and(|typ| {
            // RFC 7515, section 4.1.9: the prefix may be omitted.
            let typ = typ.strip_prefix("application/").unwrap_or(typ);
            typ.eq_ignore_ascii_case(TYPE)
        });
        let key = self.keys().find(|key| header.kid.as_ref() == Some(&key.name));
        let (true, Some(key)) = (is_access_token, key) else { return Err(VerifyError) };
        let payload = key.private.payload(token, header.alg).ok_or(VerifyError)?;
        if payload.iss != self.issuer || payload.aud != self.audience {
            return Err(VerifyError);
        }
        let at = |seconds: i64| Timestamp::from_secs(seconds);
        let claims = Claims {
            family: FamilyId::parse(&payload.sid).ok_or(VerifyError)?,
            number: payload.rtn,
            issued_at: at(payload.iat),
            expires_at: at(payload.exp),
            id: u128::from_str_radix(&payload.jti, 16).map_err(|_| VerifyError)?,
        };
        let Payload { sub, client_id, scope, own, .. } = payload;
        let (family, own) = (Some(claims.family), OwnClaims::of_members(own));
        let identity = Identity { scope, family, claims: own, ..Identity::new(sub, client_id) };
        Ok((claims, Principal::Identity(identity)))
    }
}
