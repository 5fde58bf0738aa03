//! The known providers, each with the documentation that it follows.

use core::time::Duration;

use super::code::Code;
use super::dialect::Dialect;
use super::profile::Provider;
use crate::lifecycle::Reuse;
use crate::time::Span;

const CLIENT_ID: &str = "the client id";
const CLIENT_SECRET: &str = "the client secret";
const CLIENT: &str = "the client id and the client secret";

/// Google: a refresh returns no new refresh token, and the existing one keeps working ("Using OAuth
/// 2.0 to Access Google APIs", "Using OAuth 2.0 for Web Server Applications").
pub const GOOGLE: Provider = Provider::new("Google", Reuse::Unrotated).with_codes(&[
    Code::declined("admin_policy_enforced", GOOGLE_WEB),
    Code::misconfigured("deleted_client", CLIENT_ID, GOOGLE_WEB),
    Code::misconfigured("org_internal", CLIENT_ID, GOOGLE_WEB),
]);
const GOOGLE_WEB: &str = "Using OAuth 2.0 for Web Server Applications, Authorization errors";

/// Microsoft Entra ID: each use returns a new refresh token and does not revoke the old ones
/// ("Refresh tokens in the Microsoft identity platform").
///
/// Its documentation asks programs not to depend on the `AADSTS` numbers. Here they can only turn
/// an error into a temporary failure, never the other way round, and `invalid_grant` is final
/// without them.
pub const ENTRA_ID: Provider = Provider::new("Microsoft Entra ID", Reuse::Unrotated);

/// A GitHub App's user access tokens: once used, the refresh token no longer works, and neither
/// does the old access token ("Refreshing user access tokens"). Its error responses have status
/// 200.
pub const GITHUB_APP: Provider = Provider::new("GitHub", Reuse::Strict)
    .with_codes(&[Code::declined("unverified_user_email", GITHUB)]);
const GITHUB: &str = "Troubleshooting OAuth app access token request errors";

/// Keycloak, while the realm's "Revoke Refresh Token" is off, which is the default. When it is on,
/// a refresh token works once ("Server Administration Guide", "Session and Token Timeouts"), and
/// [`Reuse::Strict`] is right, whatever "Refresh Token Max Reuse" allows.
pub const KEYCLOAK: Provider = Provider::new("Keycloak", Reuse::Unrotated);

/// Okta, with its default grace period of 30 s: see [`okta`].
pub const OKTA: Provider = Provider::new("Okta", Reuse::OverlapSuccessors(Span::from_secs(30)));

/// Supabase Auth: within 10 s a refresh token may be used more than once, and the predecessor of
/// the active token returns that token again; otherwise the session ends ("User sessions").
pub const SUPABASE: Provider = Provider::new("Supabase", Reuse::Idempotent(Span::from_secs(10)))
    .with_codes(&[
        Code::declined("user_banned", SUPABASE_CODES),
        Code::declined("user_not_found", SUPABASE_CODES),
        Code::passing("conflict", SUPABASE_CODES),
        Code::passing("hook_timeout", SUPABASE_CODES),
        Code::passing("hook_timeout_after_retry", SUPABASE_CODES),
        Code::misconfigured("no_authorization", "the `apikey` of the project", SUPABASE_CODES),
    ]);
const SUPABASE_CODES: &str = "Supabase Docs, Auth, Error Codes";

/// Doorkeeper, where its table has the column `previous_refresh_token`: the old refresh token is
/// revoked when the new access token is first used (`refresh_token_revoked_on_use?`). Without the
/// column it is revoked at once, and [`Reuse::Strict`] is right.
pub const DOORKEEPER: Provider = Provider::new("Doorkeeper", Reuse::ConfirmByUse);

/// Slack, with token rotation: a refresh token is revoked once used ("Using token rotation"). Its
/// error responses have status 200, and a user's tokens are in `authed_user` ("`oauth.v2.access`").
pub const SLACK: Provider = Provider::new("Slack", Reuse::Strict)
    .with_codes(&[
        Code::declined("account_inactive", SLACK_CODES),
        Code::declined("authorization_not_found", SLACK_CODES),
        Code::misconfigured("bad_client_secret", CLIENT_SECRET, SLACK_CODES),
        Code::misconfigured("invalid_client_id", CLIENT_ID, SLACK_CODES),
        Code::misconfigured(
            "token_rotation_not_enabled",
            "the token rotation of the app",
            SLACK_CODES,
        ),
        Code::misconfigured("accesslimited", "the networks that the app allows", SLACK_CODES),
        Code::passing("team_added_to_org", SLACK_CODES),
    ])
    .with_dialect(Dialect::new().inside(&["authed_user"]));
const SLACK_CODES: &str = "Slack, oauth.v2.access and oauth.v2.exchange, Errors";

/// Lark and Feishu: a refresh token works once ("Refresh `user_access_token`"). The older of the
/// two endpoints wraps the tokens in `data`, and both return a numeric error in `code`.
pub const LARK: Provider = Provider::new("Lark", Reuse::Strict)
    .with_codes(&[
        Code::misconfigured("20002", CLIENT_SECRET, LARK_CODES),
        Code::declined("20008", LARK_CODES),
        Code::declined("20010", LARK_CODES),
        Code::misconfigured("20024", CLIENT_ID, LARK_CODES),
        Code::declined("20026", LARK_CODES),
        Code::declined("20037", LARK_CODES),
        Code::misconfigured("20048", CLIENT_ID, LARK_CODES),
        Code::passing("20050", LARK_CODES),
        Code::declined("20064", LARK_CODES),
        Code::declined("20066", LARK_CODES),
        Code::misconfigured("20069", "the app, which is not enabled", LARK_CODES),
        Code::passing("20072", LARK_CODES),
        Code::declined("20073", LARK_CODES),
        Code::misconfigured("20074", "the app's right to refresh tokens", LARK_CODES),
    ])
    .with_dialect(Dialect::new().inside(&["data"]));
const LARK_CODES: &str = "Lark Open Platform, Refresh user_access_token, Error codes";

/// `DingTalk`: `accessToken`, `refreshToken` and `expireIn` at the top ("Obtain a user token").
/// Reuse of a refresh token is not documented.
pub const DINGTALK: Provider =
    Provider::new("DingTalk", Reuse::Strict).with_dialect(Dialect::new().named(&[
        ("access_token", "accessToken"),
        ("refresh_token", "refreshToken"),
        ("expires_in", "expireIn"),
    ]));

/// Meta: an error is an object in `error`, whose `is_transient` marks a temporary failure ("Handle
/// errors"). There are no refresh tokens: a long-lived token is exchanged for another.
pub const META: Provider = Provider::new("Meta", Reuse::Unrotated).with_codes(&[
    Code::passing("OAuthException/1", META_CODES),
    Code::passing("OAuthException/2", META_CODES),
    Code::passing("OAuthException/4", META_CODES),
    Code::passing("OAuthException/17", META_CODES),
    Code::passing("OAuthException/32", META_CODES),
    Code::passing("OAuthException/341", META_CODES),
    Code::passing("OAuthException/613", META_CODES),
    Code::misconfigured("OAuthException/101", CLIENT, META_CODES),
    Code::declined("OAuthException/102", META_CODES),
    Code::declined("OAuthException/190", META_CODES),
]);
const META_CODES: &str = "Graph API, Handle errors, Error codes; Rate limits";

/// Firebase Authentication's `securetoken` endpoint, whose errors are a `message` in `error`, and
/// which does not rotate ("Firebase Auth REST API", "Exchange a refresh token for an ID token").
pub const FIREBASE: Provider = Provider::new("Firebase", Reuse::Unrotated).with_codes(&[
    Code::declined("TOKEN_EXPIRED", FIREBASE_CODES),
    Code::declined("USER_DISABLED", FIREBASE_CODES),
    Code::declined("USER_NOT_FOUND", FIREBASE_CODES),
    Code::declined("INVALID_REFRESH_TOKEN", FIREBASE_CODES),
    Code::misconfigured("INVALID_GRANT_TYPE", "the grant type", FIREBASE_CODES),
    Code::misconfigured("MISSING_REFRESH_TOKEN", "the fields of the request", FIREBASE_CODES),
    Code::misconfigured(
        "API key not valid. Please pass a valid API key.",
        "the API key in the token endpoint's URL",
        FIREBASE_CODES,
    ),
]);
const FIREBASE_CODES: &str = "Firebase Auth REST API, Exchange a refresh token for an ID token";

/// `HubSpot`, whose errors are in a `status` member ("OAuth tokens"). Reuse of a refresh token is
/// not documented.
pub const HUBSPOT: Provider = Provider::new("HubSpot", Reuse::Strict).with_codes(&[
    Code::declined("BAD_REFRESH_TOKEN", "HubSpot Community, BAD_REFRESH_TOKEN; OAuth tokens"),
    Code::misconfigured("BAD_CLIENT_ID", CLIENT_ID, "HubSpot Community, OAuth errors"),
    Code::misconfigured("BAD_CLIENT_SECRET", CLIENT_SECRET, "HubSpot Community, OAuth errors"),
]);

/// Intuit: a refresh token's lifetime is `x_refresh_token_expires_in`, and the newest token must be
/// used ("OAuth 2.0", "Refresh the token").
pub const INTUIT: Provider = Provider::new("Intuit", Reuse::Strict);

/// `LinkedIn`, which returns `invalid_request` for a refresh token that is invalid, expired or
/// revoked ("Programmatic refresh tokens"). Using a refresh token does not extend its lifetime.
pub const LINKEDIN: Provider =
    Provider::new("LinkedIn", Reuse::Strict).with_codes(&[Code::declined(
        "invalid_request",
        "LinkedIn, Refresh Tokens with OAuth 2.0, Error responses",
    )]);

/// Zoho: a refresh returns no new refresh token. If `expires_in_sec` is present, `expires_in` is in
/// milliseconds. "Access Denied" means too many requests ("OAuth 2.0", "Refresh access tokens";
/// "Troubleshooting OAuth2.0").
pub const ZOHO: Provider = Provider::new("Zoho", Reuse::Unrotated).with_codes(&[
    Code::passing("Access Denied", ZOHO_CODES),
    Code::declined("invalid_code", ZOHO_CODES),
    Code::misconfigured("invalid_client_secret", CLIENT_SECRET, ZOHO_CODES),
]);
const ZOHO_CODES: &str = "Kaizen #4, Troubleshooting OAuth2.0";

/// Auth0, with rotation on and this "Rotation Overlap Period", which is disabled by default: within
/// it the previous refresh token returns a new one again, and beyond it reuse counts as a breach
/// ("Configure Refresh Token Rotation").
pub fn auth0(overlap: Duration) -> Provider {
    Provider::new("Auth0", successors_within(overlap))
}

/// Okta, with this "Grace period for token rotation" (its API's `leeway`): a refresh always returns
/// a new refresh token, the previous one stays valid for this long, and beyond it reuse invalidates
/// the newest, and all access tokens ("Refresh token rotation").
pub fn okta(leeway: Duration) -> Provider {
    OKTA.with_reuse(successors_within(leeway))
}

/// Amazon Cognito, with rotation on and this "retry grace period" of up to 60 s, for which
/// the rotated refresh token can stay valid ("`RefreshTokenRotationType`"). With
/// rotation off no other refresh token is issued, and [`Reuse::Unrotated`] is right.
pub fn cognito(grace: Duration) -> Provider {
    let reuse = successors_within(grace.min(Duration::from_secs(60)));
    Provider::new("Amazon Cognito", reuse)
}

/// Ory Hydra, with this `rotation_grace_period`, which is zero by default: within it further uses
/// return further tokens of the same chain ("Graceful refresh token rotation"). With a
/// `rotation_grace_reuse_count` of one or two, use [`Reuse::Strict`].
pub fn hydra(grace: Duration) -> Provider {
    Provider::new("Ory Hydra", successors_within(grace))
}

/// Django OAuth Toolkit, with this `REFRESH_TOKEN_GRACE_PERIOD_SECONDS`, which is zero by default:
/// within it the previous refresh token returns the same successor again ("Settings"; issue 702
/// there is about why it must be the same).
pub fn django_oauth_toolkit(grace: Duration) -> Provider {
    let reuse = match Span::from(grace) {
        Span::ZERO => Reuse::Strict,
        window => Reuse::Idempotent(window),
    };
    Provider::new("Django OAuth Toolkit", reuse)
}

/// Returns [`Reuse::OverlapSuccessors`], or [`Reuse::Strict`] if the window is zero.
fn successors_within(window: Duration) -> Reuse {
    match Span::from(window) {
        Span::ZERO => Reuse::Strict,
        window => Reuse::OverlapSuccessors(window),
    }
}
