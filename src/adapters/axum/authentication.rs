//! The authentication of clients (RFC 6749, section 2.3).

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq as _};

use super::build_error::BuildError;
use super::client::{RegisteredClient, digest};
use super::form::{EndpointError, Parameters};
use super::limits::{Charge, Counted, Limit, Limits, Peer};
use crate::issue::FamilyId;
use crate::token::Secret;

/// The clients of a server.
pub(super) struct Clients(BTreeMap<String, KnownClient>);

/// A client and its limits.
pub(super) struct KnownClient {
    client: RegisteredClient,
    /// What the limit on wrong secrets knows the client by.
    number: u32,
    /// By family, and for the client itself.
    limit: Limit<Option<FamilyId>>,
    /// What the client has requested for itself; what families have is counted with all others'.
    own: Limit<()>,
}

/// How a client authenticates.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Way {
    Header,
    Body,
}

/// One reading of what a client has sent.
struct Credentials {
    id: String,
    secret: Option<Secret>,
}

/// The result of an authentication that failed.
pub(super) struct Rejection {
    /// The client that was named, if any.
    pub(super) client: String,
    pub(super) error: EndpointError,
}

impl From<EndpointError> for Rejection {
    fn from(error: EndpointError) -> Self {
        Self { client: String::new(), error }
    }
}

impl Clients {
    /// Returns the clients by their ids.
    pub(super) fn new(registered: Vec<RegisteredClient>) -> Result<Self, BuildError> {
        let counted = Counted::new();
        let mut clients = BTreeMap::new();
        for (number, client) in (0..).zip(registered) {
            if client.has_short_secret {
                return Err(BuildError::ShortSecret(client.id));
            }
            let id = client.id.clone();
            let limit = Limit::new(client.quota, counted.clone());
            let own = Limit::new(client.quota, Counted::new());
            let known = KnownClient { client, number, limit, own };
            if clients.insert(id.clone(), known).is_some() {
                return Err(BuildError::RepeatedClient(id));
            }
        }
        // What one client sends as it is must not be what another sends encoded.
        for id in clients.keys() {
            let decoded = form_decoded(id);
            if decoded != *id && clients.contains_key(&decoded) {
                return Err(BuildError::CollidingClients(id.clone(), decoded));
            }
        }
        Ok(Self(clients))
    }

    /// Returns a client by its identifier alone.
    pub(super) fn get(&self, id: &str) -> Option<&KnownClient> {
        self.0.get(id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = String> + '_ {
        self.0.keys().cloned()
    }

    /// Returns the client that sent `headers` and `form`. Rule D6: "401 with a challenge where the client
    /// used the header". A wrong secret is charged to the client and the peer, an unknown client to the peer.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Parameters,
        limits: &Limits,
        peer: Peer,
    ) -> Result<&KnownClient, Rejection> {
        let (readings, way) = read(headers, form)?;
        let rejected = EndpointError::InvalidClient { challenge: way == Way::Header };
        let mut known = readings.iter().filter_map(|it| Some((self.0.get(&it.id)?, it)));
        let named =
            || readings.first().map(|it| it.id.chars().take(128).collect()).unwrap_or_default();
        let Some((client, first)) = known.next() else {
            let error = limits.garbage(peer).err().unwrap_or(rejected);
            return Err(Rejection { client: named(), error });
        };
        let rejection = |error| Rejection { client: client.id().into(), error };
        // Ids that collide are refused where the server is built: each reading names this client.
        let secrets = core::iter::once(first).chain(known.map(|(_, it)| it)).map(|it| &it.secret);
        if client.client.is_public() {
            // A public client has no secret.
            let none = secrets.into_iter().all(Option::is_none);
            return if none { Ok(client) } else { Err(rejection(rejected)) };
        }
        // Rule D10: "before a further one is compared".
        limits.secret(client.number, peer, Charge::Asked).map_err(rejection)?;
        let mut is_good = Choice::from(0);
        for secret in secrets.flatten() {
            let shown = digest(secret.expose());
            for expected in &client.client.secrets {
                is_good |= expected.ct_eq(&shown);
            }
        }
        if bool::from(is_good) {
            return Ok(client);
        }
        let error = limits.secret(client.number, peer, Charge::Counted).err().unwrap_or(rejected);
        Err(rejection(error))
    }
}

/// Returns what a client may have meant: the header has id and secret form-encoded (RFC 6749, section 2.3.1),
/// and from most clients it has them as they are.
fn read(headers: &HeaderMap, form: &Parameters) -> Result<(Vec<Credentials>, Way), EndpointError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else {
        let id = form.need("client_id", "client_id is missing")?.into();
        let secret = form.get("client_secret")?.map(Secret::from);
        return Ok((vec![Credentials { id, secret }], Way::Body));
    };
    if all.next().is_some() {
        return Err(EndpointError::InvalidRequest("there is more than one Authorization header"));
    }
    let header = header.to_str().ok().and_then(basic);
    let mut readings = header.ok_or(EndpointError::InvalidClient { challenge: true })?;
    if form.get("client_secret")?.is_some() {
        return Err(EndpointError::InvalidRequest("the client authenticates in two ways"));
    }
    if let Some(named) = form.get("client_id")? {
        readings.retain(|it| it.id == named);
        if readings.is_empty() {
            return Err(EndpointError::InvalidRequest("the client gives itself two names"));
        }
    }
    Ok((readings, Way::Header))
}

impl KnownClient {
    pub(super) fn id(&self) -> &str {
        &self.client.id
    }

    pub(super) fn is_public(&self) -> bool {
        self.client.is_public()
    }

    /// Returns whether the client may introspect tokens, which only a confidential one may.
    pub(super) fn may_introspect(&self) -> bool {
        self.client.introspection && !self.client.is_public()
    }

    /// Returns whether the client may use a grant type.
    pub(super) fn may_use(&self, grant_type: &str) -> bool {
        self.client.grant_types.as_ref().is_none_or(|allowed| allowed.contains(grant_type))
    }

    /// Returns an error where a family is beyond its limit. Counts the request.
    pub(super) fn check_family(&self, family: FamilyId) -> Result<(), EndpointError> {
        self.limit.check(Some(family), Charge::Counted)
    }

    /// Returns an error where the client itself is beyond its limit. Counts the request.
    pub(super) fn check(&self) -> Result<(), EndpointError> {
        self.own.check((), Charge::Counted)
    }

    /// Returns the scope that the client may use for itself: what it asks for, or all that it is
    /// allowed.
    pub(super) fn credentials(&self, asked: Option<&str>) -> Result<Option<String>, EndpointError> {
        let allowed = self.client.credentials.as_ref().filter(|_| !self.client.is_public());
        let allowed = allowed.ok_or(EndpointError::UnauthorizedClient)?;
        let asked: Vec<_> =
            asked.unwrap_or_default().split(' ').filter(|it| !it.is_empty()).collect();
        if asked.is_empty() {
            return Ok(Some(allowed.join(" ")).filter(|scope| !scope.is_empty()));
        }
        if !asked.iter().all(|one| allowed.iter().any(|other| other == one)) {
            return Err(EndpointError::InvalidScope);
        }
        Ok(Some(asked.join(" ")))
    }
}

/// Parses an `Authorization: Basic` header. Returns id and secret as they are, and form-decoded where that is
/// another text.
fn basic(header: &str) -> Option<Vec<Credentials>> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = Secret::from(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
    let (id, secret) = text.expose().split_once(':')?;
    // An empty secret is none.
    let shown = |text: String| Some(Secret::from(text)).filter(|it| !it.expose().is_empty());
    let raw = Credentials { id: id.into(), secret: shown(secret.into()) };
    let decoded = Credentials { id: form_decoded(id), secret: shown(form_decoded(secret)) };
    Some(vec![decoded, raw])
}

/// Decodes the value of a form's parameter.
fn form_decoded(text: &str) -> String {
    let whole = format!("x={}", text.replace('&', "%26").replace('=', "%3D"));
    let mut pairs = url::form_urlencoded::parse(whole.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
