//! The error codes that mean the same for all providers, each with its source. Codes of a single
//! provider are in its [`Provider`](crate::provider::Provider).
//!
//! Unknown codes are not final: the failure is *unexplained*.

use crate::provider::{Code, Meaning};

/// What to check if the client itself is not accepted.
pub(super) const CLIENT: &str =
    "the client id, the client secret, and how the client authenticates";
const SECRET: &str = "the client secret";
const SCOPE: &str = "the scope that is asked for";
const FIELDS: &str = "the further fields of the token request";
const GRANT_TYPE: &str = "whether this client may use this grant type";
const RESOURCE: &str = "the resource and the audience that are asked for";
const BOUND: &str = "whether this client is to have bearer tokens: DPoP is not supported";

const RFC_6749: &str = "RFC 6749, section 5.2";
const RFC_6749_AUTHORIZATION: &str = "RFC 6749, section 4.1.2.1";
const OIDC: &str = "OpenID Connect Core 1.0, section 3.1.2.6";
const SLACK: &str = "Slack, oauth.v2.access, Errors";
const SUPABASE: &str = "Supabase Docs, Auth, Error Codes";
const GITHUB: &str = "GitHub, Troubleshooting OAuth app access token request errors";
const AWS: &str = "Amazon Cognito API, Common errors; InitiateAuth, Errors";
const GOOGLE: &str = "Google Cloud APIs, Errors, google.rpc.Code";
const APIGEE: &str = "Apigee, Rate limiting errors";
const ENTRA: &str = "Microsoft Entra authentication and authorization error codes";
const OPENAI: &str = "OpenAI, Error codes";
const ENTRA_TOKENS: &str =
    "Microsoft identity platform, authorization code flow, Error codes for token endpoint errors";
const SALESFORCE: &str = "Salesforce Help, OAuth 2.0 Authorization Errors";
const AUTH0: &str = "Auth0, Authentication API, Standard error responses";

const KNOWN: &[Code] = &[
    // Declined: the refresh token does not work any more, or a person must act.
    Code::declined("invalid_grant", RFC_6749),
    Code::declined("interaction_required", OIDC),
    Code::declined("login_required", OIDC),
    Code::declined("account_selection_required", OIDC),
    Code::declined("consent_required", OIDC),
    Code::declined(
        "unmet_authentication_requirements",
        "OpenID Connect Core Error Code unmet_authentication_requirements 1.0",
    ),
    Code::declined("mfa_required", AUTH0),
    Code::declined("bad_refresh_token", "GitHub, Refreshing user access tokens"),
    Code::declined("invalid_refresh_token", SLACK),
    Code::declined("token_expired", SLACK),
    Code::declined("token_revoked", SLACK),
    Code::declined("refresh_token_not_found", SUPABASE),
    Code::declined("refresh_token_already_used", SUPABASE),
    Code::declined("session_not_found", SUPABASE),
    Code::declined("session_expired", SUPABASE),
    Code::declined("unauthorized.bad_refresh_token", "Monzo API, Refreshing access"),
    Code::declined("unauthorized.bad_refresh_token.evicted", "Monzo API, Refreshing access"),
    Code::declined("ExpiredTokenException", "AWS IAM Identity Center OIDC, CreateToken, Errors"),
    Code::declined("inactive_user", SALESFORCE),
    Code::declined("inactive_org", SALESFORCE),
    // Misconfigured: the client or its request is not accepted.
    Code::misconfigured("invalid_client", CLIENT, RFC_6749),
    Code::misconfigured("unauthorized_client", GRANT_TYPE, RFC_6749),
    Code::misconfigured("unsupported_grant_type", GRANT_TYPE, RFC_6749),
    Code::misconfigured("invalid_scope", SCOPE, RFC_6749),
    Code::misconfigured("invalid_request", FIELDS, RFC_6749),
    Code::misconfigured("invalid_target", RESOURCE, "RFC 8707, section 2"),
    Code::misconfigured("invalid_dpop_proof", BOUND, "RFC 9449, section 5"),
    Code::misconfigured("use_dpop_nonce", BOUND, "RFC 9449, section 8"),
    Code::misconfigured("invalid_authorization_details", FIELDS, "RFC 9396, section 5"),
    Code::misconfigured("incorrect_client_credentials", CLIENT, GITHUB),
    Code::misconfigured("application_suspended", "the app, which is suspended", GITHUB),
    Code::misconfigured("invalid_client_credentials", CLIENT, SALESFORCE),
    Code::misconfigured("invalid_resource", RESOURCE, ENTRA_TOKENS),
    Code::misconfigured("bad_client_secret", SECRET, SLACK),
    Code::misconfigured("invalid_client_id", CLIENT, SLACK),
    // Temporary failures. Some of them mean that the request may have taken effect; their
    // documentation tells clients to retry.
    Code::passing("temporarily_unavailable", RFC_6749_AUTHORIZATION),
    Code::passing("server_error", RFC_6749_AUTHORIZATION),
    Code::passing("slow_down", "RFC 8628, section 3.5"),
    Code::passing("internal_error", SLACK),
    Code::passing("fatal_error", SLACK),
    Code::passing("service_unavailable", SLACK),
    Code::passing("request_timeout", SLACK),
    Code::passing("ratelimited", SLACK),
    Code::passing("rate_limited", "Notion API, Status codes"),
    Code::passing("over_request_rate_limit", SUPABASE),
    Code::passing("too_many_requests", AUTH0),
    Code::passing("too_many_attempts", AUTH0),
    Code::passing("rate_limit_exceeded", "Google, OAuth token grant rate limits"),
    Code::passing("rateLimitExceeded", "Google Drive API, Resolve errors"),
    Code::passing("userRateLimitExceeded", "Google Drive API, Resolve errors"),
    Code::passing("rate_limit", "Stripe API, Error types"),
    Code::passing("rate_limit_error", OPENAI),
    Code::passing("server_overloaded", OPENAI),
    Code::passing("overloaded_error", "Anthropic API, Errors"),
    Code::passing("quota_exceeded", GOOGLE),
    Code::passing("RESOURCE_EXHAUSTED", GOOGLE),
    Code::passing("UNAVAILABLE", GOOGLE),
    Code::passing("backend_error", "Google Drive API, Resolve errors"),
    Code::passing("TooManyRequestsException", AWS),
    Code::passing("LimitExceededException", AWS),
    Code::passing("Throttling", AWS),
    Code::passing("ThrottlingException", AWS),
    Code::passing("ThrottledException", AWS),
    Code::passing("RequestLimitExceeded", AWS),
    Code::passing("ServiceUnavailable", AWS),
    Code::passing("ServiceUnavailableException", AWS),
    Code::passing("SlowDownException", "AWS IAM Identity Center OIDC, CreateToken, Errors"),
    Code::passing("E0000047", "Okta, Error codes"),
    Code::passing("policies.ratelimit.SpikeArrestViolation", APIGEE),
    Code::passing("policies.ratelimit.QuotaViolation", APIGEE),
    // Entra ID's, beside any `error`: those documented as transient, retryable, throttled or out of
    // service.
    Code::passing("AADSTS40010", ENTRA),
    Code::passing("AADSTS50033", ENTRA),
    Code::passing("AADSTS50196", ENTRA),
    Code::passing("AADSTS90006", ENTRA),
    Code::passing("AADSTS90012", ENTRA),
    Code::passing("AADSTS90024", ENTRA),
    Code::passing("AADSTS90033", ENTRA),
    Code::passing("AADSTS90055", ENTRA),
];

/// Returns all codes that are known for every provider. These are the only ones that the text of an
/// error shows, besides those of the client's provider.
pub fn known_codes() -> &'static [Code] {
    KNOWN
}

/// Returns the code that decides what a response with `codes` means: temporary failures before
/// final ones, and the provider's own codes first (rule B6).
pub(super) fn meaning<'c>(
    own: &'static [Code],
    codes: &(impl Iterator<Item = &'c str> + Clone),
) -> Option<Code> {
    let named = |table: &'static [Code], passing: bool| {
        let mut named = codes.clone().filter_map(|code| {
            table.iter().find(|known| known.text().eq_ignore_ascii_case(code.trim()))
        });
        named.find(|code| (code.meaning() == Meaning::Passing) == passing).copied()
    };
    named(own, true)
        .or_else(|| named(KNOWN, true))
        .or_else(|| named(own, false))
        .or_else(|| named(KNOWN, false))
}
