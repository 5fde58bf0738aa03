//! The metadata of a server (RFC 8414, section 2).

use std::prelude::rust_2024::*;

use serde_json::{Map, Value, json};

use super::build_error::BuildError;
use super::introspect;

/// Returns the metadata of a server at `url` that serves the program's `grants` too, with its `own` fields. What
/// the server does not compute may be replaced.
pub(super) fn metadata<'a>(
    url: &str,
    has_jwks: bool,
    grants: impl Iterator<Item = &'a str>,
    own: Map<String, Value>,
) -> Result<Value, BuildError> {
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let grants: Vec<_> =
        ["refresh_token", "client_credentials"].into_iter().chain(grants).collect();
    let mut metadata = json!({
        "issuer": url,
        "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"),
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
    });
    introspect::add_metadata(&mut metadata, url);
    if has_jwks {
        metadata["jwks_uri"] = format!("{url}/jwks.json").into();
    }
    for (name, value) in own {
        if metadata.get(&name).is_some() {
            return Err(BuildError::ComputedMetadata(name));
        }
        metadata[name] = value;
    }
    if metadata.get("response_types_supported").is_none() {
        // Required, and not empty: `none` is the response type without a code and without a token.
        metadata["response_types_supported"] = json!(["none"]);
    }
    Ok(metadata)
}
