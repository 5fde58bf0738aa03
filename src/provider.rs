//! What known providers do with a refresh token that they see twice, by their own documentation:
//! for [`PolicyBuilder::reuse`](crate::lifecycle::PolicyBuilder::reuse) (rule B6).
//!
//! ```
//! use core::time::Duration;
//! use perennial::lifecycle::Policy;
//! use perennial::provider;
//!
//! let policy = Policy::builder().reuse(provider::OKTA).build()?;
//! let policy = Policy::builder().reuse(provider::auth0(Duration::from_secs(15))).build()?;
//! # let _ = policy;
//! # Ok::<(), perennial::lifecycle::PolicyError>(())
//! ```
//!
//! Constants say what holds unless it was configured otherwise; functions take what was configured.
//! Each names the page that it is from. None was tried out here, and a provider may change its mind:
//! [`Reuse::Strict`], the default, is safe with all of them.
//!
//! Deliberately absent: providers whose documentation does not say; endpoints and names of fields.

use core::time::Duration;

use crate::lifecycle::Reuse;
use crate::time::Span;

/// Google: its answer to a refresh brings no other refresh token, and the one there is stays good
/// ("Using OAuth 2.0 to Access Google APIs", "Using OAuth 2.0 for Web Server Applications").
pub const GOOGLE: Reuse = Reuse::Unrotated;

/// Microsoft Entra ID: each use brings another refresh token, and the old ones are not revoked by
/// it ("Refresh tokens in the Microsoft identity platform").
pub const ENTRA_ID: Reuse = Reuse::Unrotated;

/// A GitHub App's user access tokens: once used, the refresh token no longer works, and neither does
/// the old access token ("Refreshing user access tokens").
pub const GITHUB_APP: Reuse = Reuse::Strict;

/// Keycloak, while the realm's "Revoke Refresh Token" is off, as it is at first; when it is on, a
/// refresh token is for one use ("Server Administration Guide", "Session and Token Timeouts"), and
/// [`Reuse::Strict`] is right, whatever "Refresh Token Max Reuse" allows.
pub const KEYCLOAK: Reuse = Reuse::Unrotated;

/// Okta, with its default grace period of 30 s: see [`okta`].
pub const OKTA: Reuse = Reuse::OverlapSuccessors(Span::from_secs(30));

/// Supabase Auth: within 10 s a refresh token may be used more than once, and the parent of the
/// active one brings that one again; else the session ends ("User sessions").
pub const SUPABASE: Reuse = Reuse::Idempotent(Span::from_secs(10));

/// Doorkeeper, where its table has the column `previous_refresh_token`: the old refresh token is
/// revoked when the new access token is first used (`refresh_token_revoked_on_use?`). Without the
/// column it is revoked at once, and [`Reuse::Strict`] is right.
pub const DOORKEEPER: Reuse = Reuse::ConfirmByUse;

/// Auth0, with rotation on and this "Rotation Overlap Period", which is disabled by default: within
/// it the previous refresh token brings a new one again, and beyond it reuse is a breach ("Configure
/// Refresh Token Rotation").
pub fn auth0(overlap: Duration) -> Reuse {
    within(overlap)
}

/// Okta, with this "Grace period for token rotation" (its API's `leeway`): for so long after the
/// rotation the previous refresh token stays valid, and beyond it reuse invalidates the newest, and
/// all access tokens ("Refresh token rotation").
pub fn okta(leeway: Duration) -> Reuse {
    within(leeway)
}

/// Amazon Cognito, with rotation on and this "retry grace period" of up to 60 s: for so long the
/// refresh token that was rotated out can remain valid ("`RefreshTokenRotationType`"). With rotation
/// off no other refresh token is issued, and [`Reuse::Unrotated`] is right.
pub fn cognito(grace: Duration) -> Reuse {
    within(grace.min(Duration::from_secs(60)))
}

/// Ory Hydra, with this `rotation_grace_period`, which is none by default: within it further uses
/// bring further tokens of the same chain ("Graceful refresh token rotation"). With a
/// `rotation_grace_reuse_count` of less than a few, take [`Reuse::Strict`].
pub fn hydra(grace: Duration) -> Reuse {
    within(grace)
}

/// Answers again for `window`, if there is one.
fn within(window: Duration) -> Reuse {
    match Span::from(window) {
        Span::ZERO => Reuse::Strict,
        window => Reuse::OverlapSuccessors(window),
    }
}
