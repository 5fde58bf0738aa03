//! The server machine: the life of one family of refresh tokens as its issuer sees it.
//!
//! A family begins with a login. Its refresh tokens are numbered, and each use of the newest
//! creates the next. A [`Family`] has one handler for each event, and each returns what can follow
//! that event; [`apply`] is all of them as one pure function of policy, family, event and time. The
//! machine never sees a token, only its number.
//!
//! ```
//! use perennial::rotation::{Family, Policy, Presented};
//! use perennial::time::Timestamp;
//!
//! let policy = Policy::default();
//! let login = Timestamp::from_secs(1_700_000_000);
//! let mut family = Family::new(login);
//!
//! let later = Timestamp::from_secs(1_700_003_600);
//! let outcome = family.handle_presented(&policy, family.newest(), later);
//! assert_eq!(outcome, Presented::IssueSuccessor { number: 2 });
//! ```
//!
//! # Invariants
//! - However often a token is presented, it is rotated once
//!   ([D1](crate::spec#d-the-authorization-server)).
//! - At most two numbers work: the newest and, as far as the policy tolerates that, its predecessor
//!   ([D2](crate::spec#d-the-authorization-server)). One token has each number, but under
//!   [`Reuse::OverlapSuccessors`] further ones, its siblings: each works as long as its number does.
//! - A revoked family stays revoked ([D3](crate::spec#d-the-authorization-server)). No token works
//!   beyond the family's lifetimes ([D4](crate::spec#d-the-authorization-server)).
//!
//! Rule D7: "Which fault an honest holder survives under which policy, without being told to log
//! in, MUST be known": see [`faults`](crate::faults).
//!
//! # Out of scope
//! Tokens, digests, clients and storage: those are in `issue`.

mod event;
mod family;
mod family_id;
mod policy;
mod transition;

pub use event::{Effect, Event, Presented, RefusalReason};
pub use family::{Family, Row, State, Tolerance};
pub use family_id::FamilyId;
pub use policy::{Policy, RawPolicy, Reuse};
pub use transition::apply;
