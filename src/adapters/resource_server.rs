//! Verification of access tokens on machines other than the authorization server: JWTs by the keys of
//! their issuer ([`JwtVerifier`]), or any token by asking about it ([`Introspection`], RFC 7662).
//!
//! Each is a [`TokenVerifier`](crate::issue::TokenVerifier), which `axum::RequireBearer` takes.
//! Neither has a store.
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "oauth2"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use perennial::adapters::axum::RequireBearer;
//! use perennial::adapters::resource_server::{JwtVerifier, ReqwestClient};
//!
//! let keys = "https://auth.example.com/jwks.json";
//! let verifier = JwtVerifier::builder(
//!     "https://auth.example.com", // `iss`
//!     "https://api.example.com",  // `aud`: this resource server
//!     keys,
//!     ReqwestClient::new()?,
//! );
//! let things = axum::Router::<()>::new()
//!     .route("/things", axum::routing::get(async || "things"))
//!     .route_layer(RequireBearer::new(verifier.build()?).scope("read"));
//! # Ok(())
//! # }
//! ```
//!
//! Opaque tokens, and JWTs that are to be rejected soon after they were revoked:
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "oauth2"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use perennial::adapters::axum::RequireBearer;
//! use perennial::adapters::resource_server::{Introspection, ReqwestClient};
//!
//! let http = ReqwestClient::new()?;
//! let url = "https://auth.example.com/introspect";
//! let verifier = Introspection::builder(url, "things-api", "its secret", http)
//!     .max_age(core::time::Duration::from_secs(10)) // a revocation takes effect within this
//!     .build()?;
//! let things = axum::Router::<()>::new()
//!     .route("/things", axum::routing::get(async || "things"))
//!     .route_layer(RequireBearer::new(verifier));
//! # Ok(())
//! # }
//! ```
//!
//! # Keys
//! The key set is the access token of a [`Session`](crate::session::Session): it lives as long as the
//! `Cache-Control` of its response says, from 5 min to 24 h, or 1 h; it is fetched anew before it
//! expires, once for all requests, and failures back off. Requests use the old keys meanwhile. A
//! response that is not a JWK set with a usable key is a failed fetch.
//!
//! | the token's key | the set | what happens |
//! |---|---|---|
//! | is in the set | has not expired | verified at once, also while a fetch is out or fails |
//! | is in the set | has expired | the first requests wait for a fetch; once one has failed, the old keys are used for a day (`grace`) |
//! | is not in the set | was not fetched for an unknown key within 30 s (`cooldown`) | waits for a fetch |
//! | is not in the set | was | waits for that fetch if it is still out, otherwise 401 |
//! | any | there is none, or the fetch that it waited for has failed | 503 with `Retry-After` |
//!
//! So tokens with made-up key names cause one fetch in 30 s, and a new key of the issuer may be
//! rejected for as long: issuers publish a key before they use it.
//!
//! # Algorithms
//! `EdDSA` with Ed25519. With the feature `jwt-rust-crypto` or `jwt-aws-lc` also RS256 to RS512, PS256
//! to PS512, ES256 and ES384, by that backend of `jsonwebtoken`; the provider of the process is not
//! asked. The algorithm is that of the key: an RSA key that states none is for RS256.
//!
//! # Introspection
//! Answers are kept under the SHA-256 digest of their token, no longer than they say (`exp`), and no
//! longer than 1 min; about tokens that are not active, for 5 s. Requests with one token at the same
//! time ask once. `Cache-Control` is not read: authorization servers send `no-store` for proxies on
//! the way. Failures are not kept.
//!
//! An answer must name the client (`client_id`); without a subject (`sub`), the client is the subject.
//! An answer with a `token_type` other than `Bearer`, or a `token_use` other than `access_token`, is
//! about another kind of token, which is rejected. A server that states neither accepts refresh
//! tokens here: RFC 7662 has no way to tell.
//!
//! # Out of scope
//! Encrypted tokens (JWE), sender-constrained tokens, signed introspection responses (RFC 9701), and
//! finding the endpoints (RFC 8414).

mod answers;
mod claims;
mod document;
mod gate;
mod http;
mod introspection;
mod jwt_verifier;
mod key;
mod key_set;
#[cfg(any(feature = "oauth2", feature = "reqwest"))]
mod over_reqwest;
mod recent;
mod shared_clock;

pub use http::{HttpClient, SendError};
pub use introspection::{Introspection, IntrospectionBuilder};
pub use jwt_verifier::{JwtVerifier, JwtVerifierBuilder};
#[cfg(any(feature = "oauth2", feature = "reqwest"))]
pub use over_reqwest::ReqwestClient;
