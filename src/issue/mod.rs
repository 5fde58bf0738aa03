//! The authorization server's part, without HTTP: families of refresh tokens, and what is issued
//! from them. An adapter puts it behind a token endpoint.
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
//! A presented token is verified by its MAC, its family is read, [`rotation`](crate::rotation)
//! decides, and the decision is claimed by compare-and-swap; only then is anything answered. No
//! token is stored, not even its digest: a refresh token is the name of its family and a number,
//! under a key.
//!
//! # Invariants
//! - What is answered was claimed first (rule D1); a revocation is never lost to a claim (rule D3).
//! - Whatever is wrong with a refresh token, its client is told the same (rule D4).
//! - Nothing is written for a token that this issuer has not made.
//!
//! # Deliberately absent
//! The login itself. Whoever calls [`Issuer::login`] has seen to it who the subject is.

mod builder;
mod error;
mod issued;
mod issuer;
mod keys;
mod memory;
mod notice;
mod opaque;
mod parts;
mod ports;

pub use builder::IssuerBuilder;
pub use error::{AuthenticationError, GrantError, InvalidGrant};
pub use issued::{Issued, Login};
pub use issuer::Issuer;
pub use keys::{KeyError, Keys};
pub use memory::MemoryFamilies;
pub use notice::{Notice, Outcome};
pub use opaque::Opaque;
pub use ports::{
    AccessTokens, Claims, FamilyId, FamilyRecord, FamilyStore, FamilySwap, Identity, MintError,
    Principal, VerifyError, VersionedFamily,
};
