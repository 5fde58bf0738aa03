//! The state of a server, shared by its handles.

use std::prelude::rust_2024::*;

use serde_json::Value;
use tokio::sync::watch;

use super::client::Clients;
use crate::issue::{FamilyStore, Issuer};

pub(super) struct ServerState<S: FamilyStore> {
    pub(super) issuer: Issuer<S>,
    pub(super) url: String,
    pub(super) clients: Clients,
    pub(super) jwks: Option<Value>,
    pub(super) dev_login: bool,
    /// Each running task holds a receiver of it.
    pub(super) running: watch::Sender<()>,
}
