//! A request to an introspection endpoint (RFC 7662, section 2.1).

use url::Url;

use super::context::RequestContext;
use super::form::{Form, FormCredentials};
use super::settings::ClientAuthentication;
use crate::token::Secret;

/// Returns a request about an access token, with the resource server's credentials in the header.
pub(crate) fn introspection<'a>(
    url: &'a Url,
    id: &str,
    secret: &Secret,
    token: &Secret,
) -> Form<'a> {
    let secret = Some(secret);
    let credentials = FormCredentials { id, secret, authentication: ClientAuthentication::Basic };
    let fields = [("token", token.expose()), ("token_type_hint", "access_token")];
    Form::new(url, &credentials, fields, RequestContext::default())
}
