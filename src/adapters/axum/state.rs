//! The state of a server, shared by its handles.

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use serde_json::Value;
use tokio::sync::watch;

use super::authentication::Clients;
use super::grant::GrantHandler;
use super::limits::{Limits, PeerAddress};
use crate::issue::{FamilyStore, Issuer};

pub(super) struct ServerState<S: FamilyStore> {
    pub(super) issuer: Issuer<S>,
    pub(super) url: String,
    pub(super) clients: Clients,
    pub(super) jwks: Option<Value>,
    pub(super) dev_login: bool,
    pub(super) limits: Limits,
    pub(super) peers: PeerAddress,
    /// The program's own grant types.
    pub(super) grants: BTreeMap<String, GrantHandler>,
    /// The metadata document (RFC 8414).
    pub(super) metadata: Value,
    /// Each running task holds a receiver of it.
    pub(super) running: watch::Sender<()>,
}
