//! The server machine: the life of one family of refresh tokens as its issuer sees it.
//!
//! A family begins with a login. Its refresh tokens are numbered; each use of the newest makes the
//! next. [`apply`] is a pure function of policy, family, event and now: what becomes of the family,
//! and what the authorization server is to response. It never sees a token, only its number.
//!
//! ```
//! use perennial::rotation::{Effect, Event, Family, Policy, apply};
//! use perennial::time::Timestamp;
//!
//! let policy = Policy::default();
//! let login = Timestamp::from_secs(1_700_000_000);
//! let family = Family::new(login);
//!
//! let later = Timestamp::from_secs(1_700_003_600);
//! let presented = Event::Presented { number: family.newest() };
//! let (family, effect) = apply(&policy, family, presented, later);
//! assert_eq!(effect, Effect::IssueSuccessor { number: 2 });
//! ```
//!
//! # Invariants
//! - Of any number of presentations of one token, one rotates (rule D1).
//! - There is at most one token that works beyond the tolerated predecessor; grandparents never do
//!   (rule D2).
//! - A family that was revoked stays so (rule D3); its lifetimes bound it (rule D4).
//!
//! Rule D7: "Which fault an honest holder survives under which policy, without being told to log in,
//! MUST be known": see [`faults`](crate::faults).
//!
//! # Deliberately absent
//! Tokens, digests, clients, storage: those are `issue`'s.

mod event;
mod family;
mod policy;
mod transition;

pub use event::{Effect, Event, Presented, RefusalReason};
pub use family::{Family, Row, State, Tolerance};
pub use policy::{Policy, RawPolicy, Reuse};
pub use transition::apply;
