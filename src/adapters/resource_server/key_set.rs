//! The key set of an issuer, kept fresh by a session whose access token is the set.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::Poll;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::document::{read, request};
use super::gate::Gate;
use super::http::AnyHttpClient;
use super::key::{Jwk, Key};
use super::shared_clock::AnyClock;
use crate::clock::Clock as _;
use crate::issue::Unchecked;
use crate::lifecycle::{Cause, Policy, Reuse};
use crate::refresh::{RefreshError, Request};
use crate::session::{Builder, Error, Rejection, Session};
use crate::thread_timer::ThreadTimer;
use crate::time::{Span, Timestamp};
use crate::token::{AccessToken, Grant};

/// How long one fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// What the program sets of the session.
pub(super) type Configure = Box<dyn FnOnce(Builder) -> Builder + Send>;

/// The settings of a key set.
pub(super) struct KeySetSettings {
    pub(super) url: Url,
    pub(super) clock: AnyClock,
    pub(super) cooldown: Span,
    pub(super) grace: Span,
    pub(super) wait_limit: Duration,
}

pub(super) struct KeySet {
    session: Session,
    gate: Arc<Gate>,
    settings: KeySetSettings,
    /// The set that was used last.
    held: ArcSwapOption<Held>,
}

/// A set, parsed once.
pub(super) struct Held {
    keys: Vec<Arc<Key>>,
    token: AccessToken,
    /// Whether it has expired, and a fetch since then has failed.
    failing: AtomicBool,
}

impl KeySet {
    pub(super) fn new(
        http: Arc<dyn AnyHttpClient>,
        settings: KeySetSettings,
        configure: Configure,
    ) -> Self {
        let gate = Arc::new(Gate::new(settings.cooldown));
        let (url, clock) = (settings.url.clone(), settings.clock.clone());
        let (fetching, fetches) = (Arc::clone(&gate), AtomicU64::new(0));
        let fetch = move |asked: Request| {
            let started = start(&fetching, asked.cause(), clock.now());
            // Relaxed: only that no two get the same number matters.
            let number = fetches.fetch_add(1, Ordering::Relaxed);
            let (http, request) = (Arc::clone(&http), request(&url));
            async move {
                started?;
                let response = http.send(request).await.map_err(|error| {
                    let text = std::format!("the key set could not be fetched: {error}");
                    RefreshError::unavailable(text)
                })?;
                let (keys, lifetime) = read(&response)?;
                Ok(Grant::of_access_token(as_token(number, &keys)?, lifetime.to_duration()))
            }
        };
        let policy = Policy::builder().reuse(Reuse::Unrotated).refresh_deadline(FETCH_LIMIT);
        let builder = Session::builder(fetch)
            .without_grant()
            .clock(settings.clock.clone())
            .timer(ThreadTimer::new())
            .policy(policy.build().expect("the deadline is in order"));
        let session = configure(builder).build().expect("without a grant, nothing is refused");
        Self { session, gate, settings, held: ArcSwapOption::empty() }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the key with this name for this algorithm, or, for a token that names none, the only
    /// key. A name that the set does not hold has it fetched anew, unless that was done just before.
    ///
    /// # Errors
    /// If there are no keys, or those that a fetch was to bring could not be fetched.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: &str,
    ) -> Result<Option<Arc<Key>>, Unchecked> {
        let held = self.current().await?;
        let Some(id) = id else {
            let [only] = &held.keys[..] else { return Ok(None) };
            return Ok(Some(only).filter(|key| key.is_for(algorithm)).cloned());
        };
        if held.knows(id) {
            return Ok(held.find(id, algorithm));
        }
        Ok(self.fetched_anew(&held).await?.find(id, algorithm))
    }

    /// Returns the newest keys without waiting for a fetch, where there are keys that may be used.
    /// Rule D8: "It MUST go on verifying with the keys it holds while newer ones are fetched".
    async fn current(&self) -> Result<Arc<Held>, Unchecked> {
        let now = self.settings.clock.now();
        let held = self.held.load_full();
        let held = held.filter(|held| now < held.expires_at().saturating_add(self.settings.grace));
        let wait = self.session.token().within(self.settings.wait_limit);
        let Some(held) = held else {
            return wait
                .await
                .map(|token| self.adopt(token))
                .map_err(|error| self.unchecked(&error));
        };
        let has_expired = now >= held.expires_at();
        // Relaxed: it only spares requests a wait.
        if has_expired && !held.failing.load(Ordering::Relaxed) {
            if let Ok(token) = wait.await {
                return Ok(self.adopt(token));
            }
            // Relaxed: as above.
            held.failing.store(true, Ordering::Relaxed);
            return Ok(held);
        }
        // A poll makes progress with a fetch that is due or out.
        let mut wait = pin!(wait);
        let fetched = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await;
        match fetched {
            Poll::Ready(Ok(token)) => Ok(self.adopt(token)),
            Poll::Ready(Err(_)) | Poll::Pending => Ok(held),
        }
    }

    /// Has the set fetched anew, and waits for it. Where a fetch is out, that one is waited for. Rule
    /// D8: "One fetch MUST be out at a time".
    async fn fetched_anew(&self, held: &Held) -> Result<Arc<Held>, Unchecked> {
        if self.gate.ask(self.settings.clock.now())
            && self.session.reject(&held.token) == Rejection::Kept
        {
            self.gate.withdraw();
        }
        let fetched = self.session.token().within(self.settings.wait_limit).await;
        fetched.map(|token| self.adopt(token)).map_err(|error| self.unchecked(&error))
    }

    /// Returns the keys in a token of the session.
    fn adopt(&self, token: AccessToken) -> Arc<Held> {
        let held = self.held.load_full();
        let same = held.filter(|held| held.token.generation() == token.generation());
        same.unwrap_or_else(|| {
            let keys = of_token(token.expose());
            let keys = keys.iter().filter_map(Key::new).map(Arc::new).collect();
            let held = Arc::new(Held { keys, token, failing: AtomicBool::new(false) });
            self.held.store(Some(Arc::clone(&held)));
            held
        })
    }

    fn unchecked(&self, error: &Error) -> Unchecked {
        let why = Unchecked::new("the keys of its issuer could not be fetched");
        let now = self.settings.clock.now();
        let why = match error.when_to_retry() {
            Some(at) => why.with_retry_in(at.since(now).to_duration()),
            None => why,
        };
        why.with_source(Arc::new(error.clone()))
    }
}

impl Held {
    fn expires_at(&self) -> Timestamp {
        self.token.expires_at().unwrap_or(Timestamp::MAX)
    }

    fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == Some(id))
    }

    fn find(&self, id: &str, algorithm: &str) -> Option<Arc<Key>> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.id() == Some(id) && key.is_for(algorithm)).cloned()
    }
}

/// Starts a fetch, unless an unknown key has caused it, and one of that kind was made just before.
fn start(gate: &Gate, cause: Cause, now: Timestamp) -> Result<(), RefreshError> {
    match cause {
        Cause::NoToken | Cause::Due | Cause::Lapsed | Cause::TooBrief => Ok(()),
        Cause::Rejected => gate.start(now).map_err(|left| {
            let text = "the key set was fetched just before, for another unknown key";
            RefreshError::unavailable(text).retry_after(left.to_duration())
        }),
    }
}

/// Returns a set as a text that an access token may be. The number tells it from an equal set that was
/// fetched before, so that the session does not take it for the token that was rejected.
fn as_token(number: u64, keys: &[Jwk]) -> Result<String, RefreshError> {
    let document = serde_json::to_vec(keys).map_err(|error| {
        RefreshError::unavailable("the key set could not be kept").with_source(error)
    })?;
    Ok(std::format!("{number}.{}", URL_SAFE_NO_PAD.encode(document)))
}

/// Returns the set in a text of [`as_token`].
fn of_token(text: &str) -> Vec<Jwk> {
    let document = text.split_once('.').map(|(_, document)| document).unwrap_or_default();
    let document = URL_SAFE_NO_PAD.decode(document).unwrap_or_default();
    serde_json::from_slice(&document).unwrap_or_default()
}
