//! A process that holds the grant: one session, and many callers.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::{Policy, Reuse};
use perennial::session::{self, Session};
use perennial::token::AccessToken;
use perennial::wire::Client;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::CLIENT;
use crate::{Arguments, REFRESH_DEADLINE, Result, Rotation, WINDOW, store};

/// A step of a refresh, of which a holder tells on its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Acquired,
    Noted,
    Stored,
    Released,
}

impl Step {
    const ALL: [Self; 4] = [Self::Acquired, Self::Noted, Self::Stored, Self::Released];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Noted => "noted",
            Self::Stored => "stored",
            Self::Released => "released",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// How long a caller pauses after it has asked.
const PACE: Duration = Duration::from_millis(50);

/// Of so many tokens that a caller gets, it checks one at the server.
const CHECKED: u64 = 10;

/// How long a caller waits through refreshes that fail: while the leases of several holders end that were
/// killed one after the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each line in one write: a kill may come between two.
fn say(line: &Value) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn say_step(step: Step) {
    say(&json!({ "step": step.name() }));
}

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    checked: AtomicU64,
    over: AtomicBool,
}

/// Holds the grant until the standard input ends.
pub(crate) async fn run(arguments: &Arguments, url: &str) -> Result<()> {
    let endpoint = format!("{url}/token?holder={}", std::process::id());
    let refresher = RefreshGrant::new(Client::builder(&endpoint, CLIENT).build()?)?;
    let reuse = match arguments.rotation {
        Rotation::Strict => Reuse::Strict,
        Rotation::Idempotent => Reuse::idempotent(WINDOW),
    };
    let policy = Policy::builder().reuse(reuse).refresh_deadline(REFRESH_DEADLINE).build()?;
    let tokio = Tokio::current()?;
    let builder = Session::builder_with(refresher)
        .policy(policy)
        .timer(tokio.clone())
        .spawner(tokio.spawner());
    let store = arguments.store.as_deref().ok_or("a holder needs a store")?;
    let session = store::open(builder, store, say_step).await?.build()?;

    let counts = Arc::new(Counts::default());
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut callers = Vec::new();
    for number in 0..arguments.callers {
        let (session, counts) = (session.clone(), Arc::clone(&counts));
        let request = http.get(format!("{url}/api"));
        callers.push(tokio::spawn(async move {
            // Not all at once.
            tokio::time::sleep(PACE * number / 32).await;
            call(&session, &counts, &request, u64::from(number)).await;
        }));
    }
    let shown = Arc::clone(&counts);
    let showing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(10 * PACE).await;
            say_counts(&shown);
        }
    });
    // It ends with its parent, too.
    let ended = || std::io::stdin().read_to_end(&mut Vec::new());
    let _ = tokio::task::spawn_blocking(ended).await?;
    counts.over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await?;
    }
    session.close().await?;
    showing.abort();
    say_counts(&counts);
    Ok(())
}

/// How many tokens the callers have got, and how many the server has accepted.
fn say_counts(counts: &Counts) {
    let (asked, checked) = (&counts.asked, &counts.checked);
    let (asked, checked) = (asked.load(Ordering::SeqCst), checked.load(Ordering::SeqCst));
    say(&json!({ "asked": asked, "checked": checked }));
}

async fn call(session: &Session, counts: &Counts, api: &reqwest::RequestBuilder, number: u64) {
    let mut turn = number;
    while !counts.over.load(Ordering::SeqCst) {
        turn += 1;
        match session.token().retry_for(PATIENCE).await {
            Ok(token) => {
                counts.asked.fetch_add(1, Ordering::SeqCst);
                if turn % CHECKED == 0 {
                    check(session, counts, api, token).await;
                }
            }
            Err(error) => say_error(&error),
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Checks a token at the server; where it has expired on its way, once more with the next, as the adapters do.
async fn check(
    session: &Session,
    counts: &Counts,
    api: &reqwest::RequestBuilder,
    mut token: AccessToken,
) {
    for attempt in 0..2 {
        let request = api.try_clone().expect("it has no body");
        let status = match request.bearer_auth(token.expose()).send().await {
            Ok(response) => response.status(),
            Err(error) => return say(&json!({ "failed": error.to_string() })),
        };
        if status.is_success() {
            counts.checked.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if status != StatusCode::UNAUTHORIZED {
            return say(&json!({ "failed": status.to_string() }));
        }
        if attempt == 1 {
            return say(&json!({ "logged_out": status.to_string() }));
        }
        session.reject(&token);
        token = match session.token().retry_for(PATIENCE).await {
            Ok(token) => token,
            Err(error) => return say_error(&error),
        };
    }
}

fn say_error(error: &session::Error) {
    let what = if error.is_login_required() { "logged_out" } else { "failed" };
    say(&json!({ what: with_causes(error) }));
}

/// Returns an error with what has caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
