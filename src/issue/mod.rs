//! The authorization server without HTTP: families of refresh tokens, and the tokens issued from
//! them. An adapter, such as `adapters::axum`, serves it at a token endpoint.
//!
//! ```
//! use perennial::issue::{Issuer, Keys, Login, MemoryFamilies};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys::new([7; 32])?; // from your secret store; the same in every process
//! let issuer = Issuer::builder(keys, MemoryFamilies::new()).build();
//! let first = issuer.login(Login::new("web", "alice").scope("read write")).await?;
//! let presented = first.refresh_token.ok_or("there is one")?;
//! let second = issuer.refresh("web", &presented, None).await?;
//! assert!(issuer.authenticate(&second.access_token).await.is_ok());
//! # Ok(())
//! # }
//! # let waker = std::task::Waker::noop();
//! # let polled = std::pin::pin!(example()).poll(&mut std::task::Context::from_waker(waker));
//! # assert!(matches!(polled, std::task::Poll::Ready(Ok(()))));
//! ```
//!
//! The MAC of a presented token is verified, its family is read, [`rotation`](crate::rotation)
//! decides, and the decision is stored by compare-and-swap; only then does the server respond. No
//! token is stored, not even its digest: a refresh token is the name of its family and a number,
//! sealed with a key; and an index, where several have that number
//! ([`Reuse::OverlapSuccessors`](crate::rotation::Reuse::OverlapSuccessors)).
//!
//! # Invariants
//! - Each decision is stored before the response is sent
//!   ([D1](crate::spec#d-the-authorization-server)), and a concurrent revocation is never
//!   overwritten ([D3](crate::spec#d-the-authorization-server)).
//! - Whatever is wrong with a refresh token, its client sees the same error
//!   ([D4](crate::spec#d-the-authorization-server)).
//! - Nothing is written for a token that this issuer has not made.
//!
//! # Out of scope
//! The login itself. The caller of [`Issuer::login`] has authenticated the subject.

mod builder;
mod error;
mod families;
mod introspect;
mod issued;
mod issuer;
mod keys;
mod memory;
mod opaque;
mod own_claims;
mod parts;
mod ports;
mod verifier;

pub use builder::IssuerBuilder;
#[cfg(feature = "axum")]
pub(crate) use error::Denied;
pub use error::{AuthenticationError, GrantError, InvalidGrant, Unchecked};
pub use families::ActiveLogin;
pub use introspect::{Introspected, TokenUse};
#[cfg(feature = "axum")]
pub(crate) use issued::normalized;
pub use issued::{Issued, Login};
pub use issuer::Issuer;
pub use keys::{KeyError, Keys};
pub use memory::MemoryFamilies;
pub use opaque::Opaque;
pub use own_claims::{ClaimError, OwnClaims};
pub use ports::{
    AccessTokens, Claims, FamilyId, FamilyRecord, FamilyStore, FamilySwap, Identity, MintError,
    PURGE_CONFIRMED_AFTER, Principal, VerifyError, VersionedFamily,
};
pub use verifier::TokenVerifier;
