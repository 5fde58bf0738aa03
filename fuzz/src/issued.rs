//! An issuer that has issued something: what is presented to it may be any of that, bent.

use std::cell::{OnceCell, RefCell};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use perennial::issue::{FamilyId, FamilyStore, Issuer, Keys, Login};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;

use crate::Draws;
use crate::counted::Counted;

/// An issuer that tolerates no reuse, and refresh tokens that have to do with it.
#[derive(Debug)]
pub struct Issued {
    /// The issuer, whose keys were changed once.
    pub issuer: Issuer<Counted>,
    /// The client `web` has rotated once, and this is its newest token.
    pub newest: Secret,
    /// Another with its number, as overlap with successors issues them.
    pub sibling: Secret,
    /// What it had before.
    pub spent: Secret,
    /// The newest token of the client `shop`.
    pub foreign: Secret,
    /// What another issuer has given to `web`.
    pub elsewhere: Secret,
    /// An access token of `web`.
    pub access: Secret,
    /// The newest token of a family of `web` that was revoked.
    pub revoked: Secret,
    /// The families of `web`, of `shop`, and that which was revoked.
    pub ids: [FamilyId; 3],
    families: Counted,
    /// The endpoint, once something was sent to it.
    pub(crate) router: OnceCell<Router>,
}

impl Default for Issued {
    fn default() -> Self {
        let keys = |byte| Keys::new([byte; 32]).expect("long enough");
        let under = |reuse, keys, families| {
            Issuer::builder(keys, families).policy(Policy::new(reuse)).build()
        };
        let of = |keys, families| under(Reuse::Strict, keys, families);
        let log_in = |issuer: &Issuer<_>, client| {
            at_once(issuer.login(Login::new(client, "alice").scope("read write"))).expect("a login")
        };
        let families = Counted::default();
        let older = keys(6).and_older([7; 32]).expect("long enough");
        let both = keys(7).and_older([6; 32]).expect("long enough");
        let issuer = of(both.clone(), families.clone());
        let shop = log_in(&issuer, "shop");
        let web = log_in(&of(older, families.clone()), "web");
        let elsewhere = log_in(&of(keys(8), Counted::default()), "web");
        let ended = log_in(&issuer, "web");
        let revoked = ended.refresh_token.expect("a login has one");
        at_once(issuer.revoke("web", &revoked)).expect("it is in memory");
        let spent = web.refresh_token.expect("a login has one");
        let tolerant = Reuse::overlap_successors(Duration::MAX);
        let tolerant = under(tolerant, both, families.clone());
        let next = at_once(tolerant.refresh("web", &spent, None)).expect("it is the newest");
        let again = at_once(tolerant.refresh("web", &spent, None)).expect("it is tolerated");
        Self {
            issuer,
            newest: next.refresh_token.expect("it has rotated"),
            sibling: again.refresh_token.expect("another"),
            spent,
            foreign: shop.refresh_token.expect("a login has one"),
            elsewhere: elsewhere.refresh_token.expect("a login has one"),
            access: next.access_token,
            revoked,
            ids: [web.family, shop.family, ended.family],
            families,
            router: OnceCell::new(),
        }
    }
}

thread_local! {
    /// What an execution left as it was, for the next one.
    static UNCHANGED: RefCell<Option<Issued>> = const { RefCell::new(None) };
}

impl Issued {
    /// Runs `property` on an issuer as [`default`](Issued::default) makes it. Most executions write nothing, so that
    /// the next one may use the same.
    pub fn with(property: impl FnOnce(&Self)) {
        let issued = UNCHANGED.take().unwrap_or_default();
        let before = issued.writes();
        property(&issued);
        if issued.writes() == before {
            UNCHANGED.set(Some(issued));
        }
    }

    fn tokens(&self) -> [&Secret; 7] {
        let Self { newest, spent, foreign, elsewhere, access, revoked, sibling, .. } = self;
        [newest, spent, foreign, elsewhere, access, revoked, sibling]
    }

    /// The bytes 1 to 7 stand for these tokens, which no two runs have alike.
    pub fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match byte {
                1..=7 => filled.extend(self.tokens()[usize::from(byte) - 1].expose().as_bytes()),
                _ => filled.push(byte),
            }
        }
        filled
    }

    /// A text in which those bytes stand for tokens; and then, after a zero, what is done to it.
    pub fn bent(&self, bytes: &[u8]) -> String {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (text, edits) = bytes.split_at(end);
        let mut text = self.fill(text);
        let mut edits = Draws::new(edits.get(1..).unwrap_or_default());
        while !edits.is_over() && !text.is_empty() {
            let (edit, at) = (edits.byte(), usize::from(edits.byte()) % text.len());
            match edit % 6 {
                0 => text[at] ^= 1 << (edits.byte() % 8),
                1 => text.truncate(at),
                2 => text.insert(at, edits.byte()),
                3 => drop(text.remove(at)),
                4 => text[at..].make_ascii_uppercase(),
                _ => text.extend(core::iter::repeat_n(b'=', at % 4)),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Whether the family of `web` was revoked.
    ///
    /// # Panics
    /// Never: nothing in memory fails.
    pub fn is_revoked(&self) -> bool {
        let found = at_once(self.families.find(self.ids[0])).expect("it is in memory");
        found.is_some_and(|found| found.record.is_revoked())
    }

    /// How often what is kept was written.
    pub fn writes(&self) -> u64 {
        self.families.writes()
    }
}

/// What a future comes to that waits for nothing.
///
/// # Panics
/// Where it waits.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("what is in memory keeps nobody waiting"),
    }
}
