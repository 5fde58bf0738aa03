//! The store port: versioned, compare-and-swap, kept over crashes; now and then unreachable, slow,
//! damaged, or silent after it has written.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::token::Grant;

use super::log::Corner;
use super::server::{Number, number};
use super::weather::Weather;
use super::world::{Happening, Shared, World};

/// What becomes of an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Slow,
    Unreachable,
    /// Not done, and never answered.
    Hangs,
    /// Done, and never answered.
    HangsDone,
    /// Done at some later time, and never answered.
    Late,
    /// Done, and answered by an error.
    Unsaid,
    Panics,
}

const FATES: [Fate; 8] = [
    Fate::Fine,
    Fate::Slow,
    Fate::Unreachable,
    Fate::Hangs,
    Fate::HangsDone,
    Fate::Late,
    Fate::Unsaid,
    Fate::Panics,
];

/// One store.
pub(crate) struct Keep {
    content: Versioned,
    /// Who wrote last.
    pub(crate) writer: Option<usize>,
    /// Every access token that it has ever held.
    history: BTreeSet<Number>,
    pub(crate) damaged: bool,
}

enum Order {
    Load,
    Swap(Version, Option<StoredGrant>),
}

#[derive(Clone)]
enum Told {
    Loaded(Result<Versioned, StoreError>),
    Swapped(Result<Swap, StoreError>),
    Panic,
}

/// One operation.
pub(crate) struct Op {
    session: usize,
    store: usize,
    order: Order,
    fate: Fate,
    /// Asked for by a login, logout or close, which has no deadline of its own.
    program: bool,
    listening: bool,
    told: Option<Told>,
    /// Who had written what is told.
    writer: Option<usize>,
    waker: Option<Waker>,
}

/// The store, as one session holds it.
pub(crate) struct Shelf {
    pub(crate) shared: Shared,
    pub(crate) session: usize,
    pub(crate) store: usize,
}

/// The numbers of a stored grant's tokens.
pub(crate) fn numbers(grant: &Grant) -> (Option<Number>, Option<Number>) {
    (grant.access_token().map(number), grant.refresh_token().map(number))
}

impl Keep {
    pub(crate) fn new() -> Self {
        let (content, history) = (Versioned::EMPTY, BTreeSet::new());
        Self { content, writer: None, history, damaged: false }
    }

    pub(crate) fn grant(&self) -> Option<&StoredGrant> {
        self.content.grant.as_ref()
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.content.version == Version::EMPTY
    }

    pub(crate) fn has_held(&self, access: Number) -> bool {
        self.history.contains(&access)
    }
}

impl World {
    /// Whether a session has tried to store the grant of this access token, and has given that up or
    /// was told that it had failed.
    pub(crate) fn was_not_stored(&self, session: usize, access: Number) -> bool {
        let tried = |op: &Op| match &op.order {
            Order::Swap(_, Some(stored)) => numbers(&stored.grant).0 == Some(access),
            Order::Swap(_, None) | Order::Load => false,
        };
        self.ops.iter().any(|op| op.session == session && !op.listening && tried(op))
    }
}

impl Shelf {
    fn begin(&self, order: Order) -> Doing {
        let mut wakers = Vec::new();
        let op = self.shared.lock().begin(self.session, self.store, order, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        Doing { shared: self.shared.clone(), op }
    }
}

impl Store for Shelf {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let doing = self.begin(Order::Load);
        async move {
            match doing.await {
                Told::Loaded(told) => told,
                Told::Swapped(_) => Err(StoreError::damaged("it was a load")),
                Told::Panic => resume_unwind(Box::new("the store panics, as it was told")),
            }
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let doing = self.begin(Order::Swap(expected, next));
        async move {
            match doing.await {
                Told::Swapped(told) => told,
                Told::Loaded(_) => Err(StoreError::damaged("it was a swap")),
                Told::Panic => resume_unwind(Box::new("the store panics, as it was told")),
            }
        }
    }
}

struct Doing {
    shared: Shared,
    op: Option<usize>,
}

impl Future for Doing {
    type Output = Told;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Told> {
        let waker = cx.waker().clone();
        let Some(op) = self.op else { return Poll::Pending };
        let told = {
            let mut world = self.shared.lock();
            let Some(told) = world.ops[op].told.clone() else {
                world.ops[op].waker = Some(waker);
                return Poll::Pending;
            };
            world.finished(op, &told);
            told
        };
        self.op = None;
        Poll::Ready(told)
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            let mut world = self.shared.lock();
            world.leave(op);
        }
    }
}

impl World {
    fn begin(
        &mut self,
        session: usize,
        store: usize,
        order: Order,
        wakers: &mut Vec<Waker>,
    ) -> Option<usize> {
        if !self.ledgers[session].alive {
            return None;
        }
        self.ledgers[session].storing += 1;
        let fate = FATES[self.fault(FATES.len(), self.plan.store_odds) as usize];
        let fate = match (fate, &order) {
            (Fate::HangsDone | Fate::Late | Fate::Unsaid, Order::Load) => Fate::Hangs,
            (fate, _) => fate,
        };
        // A login passes a store's panic on to the program, whose own business that is.
        let program = self.in_program;
        let fate = if program && fate == Fate::Panics { Fate::Unreachable } else { fate };
        let op = Op {
            session,
            store,
            order,
            fate,
            program,
            listening: true,
            told: None,
            writer: None,
            waker: None,
        };
        let index = self.ops.len();
        self.ops.push(op);
        let kinds = if matches!(fate, Fate::Slow | Fate::Late) { 4 } else { 1 };
        let slow = [40, 900, 6_000, 29_000][self.choices.below(kinds) as usize];
        match fate {
            Fate::Fine => self.later(self.plan.latency, Happening::Stores(index), wakers),
            Fate::Slow => {
                self.saw(Corner::StoreSlow);
                self.later(slow, Happening::Stores(index), wakers);
            }
            Fate::Late => self.later(slow * 3, Happening::Stores(index), wakers),
            Fate::Hangs => self.saw(Corner::StoreHung),
            Fate::Unreachable | Fate::HangsDone | Fate::Unsaid | Fate::Panics => {
                self.later(0, Happening::Stores(index), wakers);
            }
        }
        Some(index)
    }

    /// The store does what it was asked, as fate has it.
    pub(crate) fn stores(&mut self, index: usize, wakers: &mut Vec<Waker>) {
        let (fate, session) = (self.ops[index].fate, self.ops[index].session);
        let unreachable = match fate {
            Fate::Unreachable => {
                self.saw(Corner::StoreUnreachable);
                true
            }
            Fate::Panics => {
                self.saw(Corner::StorePanicked);
                self.ops[index].told = Some(Told::Panic);
                return;
            }
            Fate::Fine | Fate::Slow | Fate::Hangs | Fate::HangsDone | Fate::Late | Fate::Unsaid => {
                false
            }
        };
        let failed = || StoreError::unreachable("the store does not answer");
        let done = if unreachable { Err(failed()) } else { self.perform(index) };
        let loads = matches!(self.ops[index].order, Order::Load);
        let told = match (done, fate) {
            (Ok(_), Fate::Unsaid) => {
                self.saw(Corner::StoreWritten);
                Told::Swapped(Err(failed()))
            }
            (Ok(_), Fate::HangsDone) => {
                self.saw(Corner::StoreHung);
                return;
            }
            (Ok(_), Fate::Late) => {
                self.saw(Corner::StoreLate);
                self.note("is written late", session, 0);
                return;
            }
            (Ok(Swap::Done(_) | Swap::Conflict(_)), _) if loads => {
                Told::Loaded(Ok(self.stores[self.ops[index].store].content.clone()))
            }
            (Err(error), _) if loads => Told::Loaded(Err(error)),
            (done, _) => Told::Swapped(done),
        };
        let writer = self.stores[self.ops[index].store].writer;
        let op = &mut self.ops[index];
        op.writer = writer;
        op.told = Some(told);
        wakers.extend(op.waker.take());
    }

    fn perform(&mut self, index: usize) -> Result<Swap, StoreError> {
        let Op { session, store, .. } = self.ops[index];
        let keep = &mut self.stores[store];
        if keep.damaged {
            self.saw(Corner::StoreDamaged);
            return Err(StoreError::damaged("this is no grant"));
        }
        let (expected, next) = match &self.ops[index].order {
            Order::Load => return Ok(Swap::Done(keep.content.version)),
            Order::Swap(expected, next) => (*expected, next.clone()),
        };
        if keep.content.version != expected {
            let content = keep.content.clone();
            self.saw(Corner::Conflict);
            return Ok(Swap::Conflict(content));
        }
        let before = keep.grant().and_then(|stored| numbers(&stored.grant).1);
        let after = next.as_ref().map(|stored| numbers(&stored.grant));
        keep.history.extend(after.and_then(|(access, _)| access));
        keep.content = Versioned { version: expected.next(), grant: next };
        keep.writer = Some(session);
        let version = keep.content.version;
        self.note("is written", session, after.and_then(|(_, one)| one).map_or(-1, i64::from));
        self.may_write(session, before, after);
        Ok(Swap::Done(version))
    }

    /// An operation's answer is heard.
    fn finished(&mut self, index: usize, told: &Told) {
        let Op { session, writer, program, .. } = self.ops[index];
        self.ops[index].listening = false;
        let ledger = &mut self.ledgers[session];
        ledger.storing -= 1;
        ledger.noted = None;
        match told {
            Told::Loaded(Ok(content)) | Told::Swapped(Ok(Swap::Conflict(content))) => {
                self.reads(session, content.grant.as_ref(), writer, program);
            }
            Told::Swapped(Ok(Swap::Done(_))) => {
                if let Order::Swap(_, Some(stored)) = &self.ops[index].order {
                    let (access, shown) = numbers(&stored.grant);
                    let intent = stored.intent.and(shown);
                    let stored = stored.clone();
                    self.ledgers[session].noted = intent;
                    self.reckon_stored(session, access, &stored);
                }
            }
            Told::Loaded(Err(_)) | Told::Swapped(Err(_)) | Told::Panic => {}
        }
    }

    /// Nobody listens to an operation any more.
    fn leave(&mut self, index: usize) {
        let op = &mut self.ops[index];
        op.listening = false;
        op.waker = None;
        self.ledgers[op.session].storing -= 1;
    }

    /// All faults end. What hangs already hangs on, and is given up at its deadline.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.weather.0 = Weather::Fine;
        self.moody = false;
        for keep in &mut self.stores {
            keep.damaged = false;
        }
    }

    /// Whether a write of this session is out.
    pub(crate) fn is_writing(&self, session: usize) -> bool {
        self.ops
            .iter()
            .any(|op| op.session == session && op.listening && matches!(op.order, Order::Swap(..)))
    }
}
