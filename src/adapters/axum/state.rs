//! The state of a server, shared by its handles.

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use serde_json::Value;
use tokio::sync::watch;

use super::authentication::Clients;
use super::form::EndpointError;
use super::grant::GrantHandler;
use super::limits::{Limits, PeerAddress};
use super::origins::Origins;
use crate::issue::{FamilyStore, Issuer};

pub(super) struct ServerState<S: FamilyStore> {
    pub(super) issuer: Issuer<S>,
    pub(super) url: String,
    pub(super) clients: Clients,
    pub(super) origins: Origins,
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

impl<S: FamilyStore> ServerState<S> {
    /// Runs `work` to its end, whether or not this future is dropped before.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, EndpointError> {
        let running = self.running.subscribe();
        let task = tokio::spawn(async move {
            // Until it ends or panics.
            let _running = running;
            work.await
        });
        // If this is dropped, the task runs on. It ends early only by a panic.
        task.await.map_err(|_| EndpointError::ServerError)
    }
}
