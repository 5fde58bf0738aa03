//! The state of a server, shared by its handles.

use std::prelude::rust_2024::*;

use axum::response::Response;
use serde_json::Value;
use tokio::sync::watch;

use super::client::Clients;
use super::form;
use super::origins::Origins;
use crate::issue::{FamilyStore, Issuer};

pub(super) struct ServerState<S: FamilyStore> {
    pub(super) issuer: Issuer<S>,
    pub(super) url: String,
    pub(super) clients: Clients,
    pub(super) origins: Origins,
    pub(super) jwks: Option<Value>,
    pub(super) dev_login: bool,
    /// Each running task holds a receiver of it.
    pub(super) running: watch::Sender<()>,
}

impl<S: FamilyStore> ServerState<S> {
    /// Runs `work` to its end, whether or not this future is dropped before.
    pub(super) async fn to_the_end(
        &self,
        work: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let running = self.running.subscribe();
        let task = tokio::spawn(async move {
            // Until it ends or panics.
            let _running = running;
            work.await
        });
        // If this is dropped, the task runs on.
        task.await.unwrap_or_else(|_| form::failed())
    }
}
