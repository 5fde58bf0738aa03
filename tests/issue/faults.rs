//! The page of faults told by the real session and the real issuer: each "no" of the lines that can be
//! played so is met, and each "yes" survives the worst that the line allows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::lifecycle;
use perennial::refresh::{RefreshError, Request};
use perennial::rotation::{Policy, Reuse};
use perennial::session::Session;
use perennial::store::{Intent, MemoryStore, Store as _, StoredGrant, Swap};
use perennial::token::{Grant, Secret};

use super::support::{HOUR, Rig, SECOND, WINDOW, block_on, just_before, refresh_token};

const PAGE: &str = include_str!("../../src/faults.md");

/// What the network does to the next refresh.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Mishap {
    RequestLost,
    AnswerLost,
    /// And the answer to the second comes.
    Twice,
}

/// The way to the issuer.
#[derive(Clone)]
struct Wire {
    rig: Arc<Rig>,
    next: Arc<Mutex<Option<Mishap>>>,
    presented: Arc<Mutex<Vec<Secret>>>,
}

impl Wire {
    fn answers(&self, request: &Request) -> Result<Grant, RefreshError> {
        let grant = request.grant().expect("there is a login");
        let token = grant.refresh_token().expect("with a refresh token").clone();
        self.presented.lock().expect("no panic").push(token.clone());
        let mishap = self.next.lock().expect("no panic").take();
        let lost = || RefreshError::unknown("the connection broke");
        if mishap == Some(Mishap::RequestLost) {
            return Err(lost());
        }
        if mishap == Some(Mishap::Twice) {
            drop(self.rig.present(&token));
        }
        let answer = self.rig.present(&token);
        if mishap == Some(Mishap::AnswerLost) {
            return Err(lost());
        }
        let issued = answer.map_err(|_| RefreshError::declined("invalid_grant"))?;
        let access = issued.access_token.expose().to_owned();
        Ok(match &issued.refresh_token {
            Some(token) => Grant::new(access, token.expose(), HOUR),
            None => Grant::of_access_token(access, HOUR),
        })
    }
}

/// A client with a store, against an issuer.
struct Story {
    wire: Wire,
    store: MemoryStore,
    declared: lifecycle::Reuse,
    session: Session,
}

impl Story {
    fn begin(policy: usize) -> Self {
        let (server, declared) = [
            (Reuse::Strict, lifecycle::Reuse::Strict),
            (Reuse::overlap_access_only(WINDOW), lifecycle::Reuse::overlap_access_only(WINDOW)),
            (Reuse::overlap_successors(WINDOW), lifecycle::Reuse::overlap_successors(WINDOW)),
            (Reuse::idempotent(WINDOW), lifecycle::Reuse::idempotent(WINDOW)),
            (Reuse::ConfirmByUse, lifecycle::Reuse::ConfirmByUse),
        ][policy];
        let rig = Arc::new(Rig::new(Policy::new(server)));
        let wire = Wire { rig, next: Arc::default(), presented: Arc::default() };
        let issued = wire.rig.log_in();
        let access = issued.access_token.expose().to_owned();
        let grant = Grant::new(access, refresh_token(&issued).expose(), HOUR);
        let store = MemoryStore::default();
        let session = open(&wire, &store, declared, Some(grant));
        let begun = Self { wire, store, declared, session };
        begun.uses();
        begun
    }

    /// The process is gone, and another one begins with what is stored. The lock that it had is free: its note
    /// of intent is no lease any more.
    fn crashes(&mut self) {
        let content = self.store.content();
        if let Some(stored) = content.grant {
            let ended = |intent: Intent| Intent { until: Some(intent.since), ..intent };
            let stored = StoredGrant { intent: stored.intent.map(ended), ..stored };
            let swapped = block_on(self.store.swap(content.version, Some(stored)));
            assert!(matches!(swapped, Ok(Swap::Done(_))));
        }
        self.session = open(&self.wire, &self.store, self.declared, None);
    }

    fn later(&self, by: Duration) {
        self.wire.rig.time.advance(by);
    }

    fn meets(&self, mishap: Mishap) {
        *self.wire.next.lock().expect("no panic") = Some(mishap);
    }

    /// A request, with whatever token there is.
    fn uses(&self) -> bool {
        match self.session.token().wait() {
            Ok(token) => self.wire.rig.works(&Secret::from(token.expose())),
            Err(_) => false,
        }
    }

    /// Whether the client goes on from refresh to refresh.
    fn stays_logged_in(&self) -> bool {
        (0..4).all(|_| {
            self.later(HOUR);
            // A failure that is over in a while is none.
            (0..4).any(|_| {
                self.later(2 * SECOND);
                self.uses()
            })
        })
    }
}

fn open(
    wire: &Wire,
    store: &MemoryStore,
    reuse: lifecycle::Reuse,
    grant: Option<Grant>,
) -> Session {
    let policy = lifecycle::Policy::builder().reuse(reuse).build().expect("valid");
    let (clock, wire) = (wire.rig.time.clone(), wire.clone());
    let builder = Session::builder(move |request: Request| {
        let answer = wire.answers(&request);
        async { answer }
    });
    let builder = builder.clock(clock).store(store.clone()).policy(policy).random(|| 1 << 31);
    let builder = match grant {
        Some(grant) => builder.grant(grant),
        None => builder,
    };
    builder.build().expect("the grant can be sent")
}

/// What the page says of a line: whether it is survived, by policy.
fn line(named: &str) -> [bool; 5] {
    let line = PAGE.lines().find(|line| line.contains(&format!("| {named} |")));
    let line = line.unwrap_or_else(|| panic!("the page has no line {named:?}"));
    let cells: Vec<_> = line.split('|').skip(3).take(5).map(|cell| !cell.contains("no")).collect();
    cells.try_into().expect("a cell for each policy")
}

#[track_caller]
fn is_as_told(named: &str, story: impl Fn(&mut Story)) {
    let found = [0, 1, 2, 3, 4].map(|policy| {
        let mut it = Story::begin(policy);
        it.later(HOUR);
        story(&mut it);
        it.stays_logged_in()
    });
    assert_eq!(found, line(named), "{named}: by policy, as it is and as the page says");
}

// Rule D7.
#[test]
fn a_client_that_nothing_happens_to_stays_logged_in_under_every_policy() {
    is_as_told("nothing goes wrong", |_| {});
}

// Rule D7.
#[test]
fn a_lost_request_is_survived_as_the_page_says() {
    is_as_told("the request is lost", |story| {
        story.meets(Mishap::RequestLost);
        story.uses();
    });
}

// Rule D7.
#[test]
fn a_lost_answer_is_survived_as_the_page_says_where_the_client_asks_again_in_time() {
    is_as_told("the response is lost, and the client asks again in time", |story| {
        story.meets(Mishap::AnswerLost);
        story.uses();
        story.later(SECOND);
        story.uses();
    });
}

// Rule D7.
#[test]
fn a_lost_answer_is_survived_as_the_page_says_where_nobody_asks_in_time() {
    is_as_told("the response is lost, and nobody asks again until the window is over", |story| {
        story.meets(Mishap::AnswerLost);
        story.uses();
        story.later(WINDOW);
    });
}

// Rule D7. What the page has from an order of events that is not played here: under confirm by use
// the copy comes once the successor is used.
#[test]
fn a_request_that_arrives_twice_is_survived_as_the_page_says() {
    is_as_told("the request arrives twice, and either response comes", |story| {
        story.meets(Mishap::Twice);
        story.uses();
        if story.declared == lifecycle::Reuse::ConfirmByUse {
            copy_arrives(story);
        }
    });
}

/// What was presented first arrives once more.
fn copy_arrives(story: &Story) {
    let first = story.wire.presented.lock().expect("no panic")[0].clone();
    drop(story.wire.rig.present(&first));
}

// Rule D7.
#[test]
fn a_copy_that_comes_once_the_window_has_closed_is_survived_as_the_page_says() {
    is_as_told("a copy of the request arrives once the window has closed", |story| {
        story.uses();
        story.later(WINDOW);
        copy_arrives(story);
    });
}

// Rule D7.
#[test]
fn a_crash_before_the_answer_is_kept_is_survived_as_the_page_says() {
    let crash = |story: &mut Story, then: Duration| {
        story.meets(Mishap::AnswerLost);
        story.uses();
        story.crashes();
        story.later(then);
        story.uses();
    };
    is_as_told(
        "the client crashes before it has stored the response, and asks again in time",
        |story| crash(story, just_before(WINDOW).saturating_sub(SECOND)),
    );
    is_as_told(
        "the client crashes before it has stored the response, and asks again after the window",
        |story| crash(story, WINDOW),
    );
}

// Rule D7.
#[test]
fn two_holders_with_a_store_each_are_told_to_log_in_under_every_policy() {
    is_as_told("two holders, a store each", |story| {
        let copy =
            block_on(async { story.store.load().await.expect("in memory").grant.expect("stored") });
        story.uses();
        story.later(WINDOW);
        let other = open(
            &story.wire,
            &MemoryStore::default(),
            story.declared,
            Some(Grant::of_refresh_token(copy.grant.refresh_token().expect("kept").expose())),
        );
        drop(other.token().wait());
    });
}
