//! A store that does what the test says, and writes down what was done in which order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use perennial::lifecycle::Policy;
use perennial::refresh::{Refresh, RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Scripted, VirtualTime};
use perennial::token::{Grant, Secret};

use super::{START, at_once, first_grant, text};

/// How the store fails.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    Unreachable,
    /// It cannot read.
    WriteOnly,
    /// It cannot write.
    ReadOnly,
    /// What it holds cannot be understood.
    Damaged,
    /// It has lost what it held, until it is written.
    Emptied,
    /// It writes, and then fails to say so.
    AnswersLost,
    /// It writes, and has no answer as long as this lasts.
    AnswersLate,
    /// It has no answer as long as this lasts.
    Hangs,
    /// It hangs when written.
    WritesHang,
    Panics,
}

/// A store of the test's own. Clones are one store.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

struct Book {
    content: Versioned,
    fault: Fault,
    log: Vec<String>,
    waiting: Vec<Waker>,
    /// How many operations there were, and how many of them hang whatever comes.
    begun: usize,
    dead: usize,
    /// What somebody else writes while the next request to the server is out.
    meanwhile: Meanwhile,
    read_only_once_asked: bool,
    /// What somebody else writes just before this session's next writes, one each.
    rivals: VecDeque<Option<StoredGrant>>,
}

#[derive(Default)]
enum Meanwhile {
    #[default]
    Nothing,
    Written(Option<StoredGrant>),
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let (content, fault) = (Versioned::EMPTY, Fault::None);
        let (log, waiting) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Book {
            content,
            fault,
            log,
            waiting,
            begun: 0,
            dead: 0,
            meanwhile: Meanwhile::Nothing,
            read_only_once_asked: false,
            rivals: VecDeque::new(),
        })))
    }

    /// One that holds `stored` from the start.
    pub(crate) fn holding(stored: StoredGrant) -> Self {
        let this = Self::new();
        this.overwrite(Some(stored));
        this
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no panic")
    }

    pub(crate) fn set(&self, fault: Fault) {
        let wakers = {
            let mut book = self.lock();
            book.fault = fault;
            book.dead = 0;
            std::mem::take(&mut book.waiting)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The same for those to come. Whoever hangs goes on hanging, until the next [`Self::set`].
    pub(crate) fn set_for_others(&self, fault: Fault) {
        let mut book = self.lock();
        book.fault = fault;
        book.dead = book.begun;
    }

    /// Somebody else writes.
    pub(crate) fn overwrite(&self, next: Option<StoredGrant>) {
        let mut book = self.lock();
        book.content = Versioned { version: book.content.version.next(), grant: next };
    }

    /// Somebody removes all, the count of writes included.
    pub(crate) fn forgotten(&self) {
        self.lock().content = Versioned::EMPTY;
    }

    /// Its next write after the note of intent fails, and all that come after it.
    pub(crate) fn read_only_once_asked(&self) {
        self.lock().read_only_once_asked = true;
    }

    /// Somebody else will write, once the next request to the server is out.
    pub(crate) fn overwritten_meanwhile(&self, next: Option<StoredGrant>) {
        self.lock().meanwhile = Meanwhile::Written(next);
    }

    /// Somebody else will write just before the session's next write that no other rival has.
    pub(crate) fn raced(&self, next: Option<StoredGrant>) {
        self.lock().rivals.push_back(next);
    }

    pub(crate) fn content(&self) -> Versioned {
        self.lock().content.clone()
    }

    /// The refresh token that it holds.
    pub(crate) fn refresh_token(&self) -> Option<String> {
        let stored = self.content().grant?;
        stored.grant.refresh_token().map(|token| token.expose().to_owned())
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.lock().log.push(what.into());
    }

    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    /// A builder of sessions on this store, whose refresher writes down what it is asked.
    pub(crate) fn builder(&self, script: &Scripted, time: &VirtualTime) -> Builder {
        let refresher = Noted { script: script.clone(), ledger: self.clone() };
        let builder = Session::builder_with(refresher).clock(time.clone()).store(self.clone());
        builder.without_jitter().random(|| 1 << 31)
    }

    fn fails(&self, number: usize, writes: bool) -> Poll<Option<StoreError>> {
        if number < self.lock().dead {
            return Poll::Pending;
        }
        let fault = self.lock().fault;
        match (fault, writes) {
            (Fault::None | Fault::AnswersLost | Fault::AnswersLate, _)
            | (Fault::ReadOnly | Fault::WritesHang, false)
            | (Fault::WriteOnly, true) => Poll::Ready(None),
            (Fault::Unreachable, _) | (Fault::ReadOnly, true) | (Fault::WriteOnly, false) => {
                Poll::Ready(Some(StoreError::unreachable("the disk is full")))
            }
            (Fault::Damaged, _) => Poll::Ready(Some(StoreError::damaged("no JSON"))),
            (Fault::Emptied, false) => Poll::Ready(Some(StoreError::emptied("no bytes"))),
            (Fault::Emptied, true) => {
                self.set(Fault::None);
                Poll::Ready(None)
            }
            (Fault::Hangs, _) | (Fault::WritesHang, true) => Poll::Pending,
            (Fault::Panics, _) => panic!("the store panics"),
        }
    }

    /// Waits while it hangs; then whether it fails.
    fn answer(&self, writes: bool) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let this = self.clone();
        let number = {
            let mut book = this.lock();
            book.begun += 1;
            book.begun - 1
        };
        poll_fn(move |cx| match this.fails(number, writes) {
            Poll::Ready(None) => Poll::Ready(Ok(())),
            Poll::Ready(Some(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                this.lock().waiting.push(cx.waker().clone());
                Poll::Pending
            }
        })
    }
}

impl Store for Ledger {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            this.note("load");
            this.answer(false).await?;
            Ok(this.content())
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            this.note(match &next {
                None => "forget".to_owned(),
                Some(StoredGrant { grant, intent: Some(_), .. }) => {
                    format!("intent {}", name(grant))
                }
                Some(StoredGrant { grant, intent: None, .. }) => format!("store {}", name(grant)),
            });
            this.answer(true).await?;
            let swap = this.write(expected, next);
            if this.lock().fault == Fault::AnswersLate {
                this.said().await;
            }
            swap
        }
    }
}

impl Ledger {
    fn write(&self, expected: Version, next: Option<StoredGrant>) -> Result<Swap, StoreError> {
        let mut book = self.lock();
        if let Some(rival) = book.rivals.pop_front() {
            book.content = Versioned { version: book.content.version.next(), grant: rival };
        }
        if book.content.version != expected {
            return Ok(Swap::Conflict(book.content.clone()));
        }
        book.content = Versioned { version: expected.next(), grant: next };
        if book.fault == Fault::AnswersLost {
            return Err(StoreError::unreachable("the connection broke"));
        }
        Ok(Swap::Done(book.content.version))
    }

    /// Waits for the next [`Self::set`].
    fn said(&self) -> impl Future<Output = ()> + use<> {
        let this = self.clone();
        let number = this.lock().begun - 1;
        poll_fn(move |cx| {
            let mut book = this.lock();
            if number >= book.dead && book.fault != Fault::AnswersLate {
                return Poll::Ready(());
            }
            book.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    }
}

fn name(grant: &Grant) -> String {
    grant.refresh_token().map_or("nothing", Secret::expose).to_owned()
}

/// The scripted refresher, in the ledger's log.
struct Noted {
    script: Scripted,
    ledger: Ledger,
}

impl Refresh for Noted {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        self.ledger.note(format!("ask {}", request.grant().map_or("nothing".to_owned(), name)));
        let meanwhile = std::mem::take(&mut self.ledger.lock().meanwhile);
        if let Meanwhile::Written(next) = meanwhile {
            self.ledger.overwrite(next);
        }
        if std::mem::take(&mut self.ledger.lock().read_only_once_asked) {
            self.ledger.set(Fault::ReadOnly);
        }
        self.script.refresh(request)
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.ledger.note(format!("revoke {}", name(&grant)));
        self.script.revoke(grant)
    }
}

/// A grant that was acquired at the start.
pub(crate) fn stored(grant: Grant) -> StoredGrant {
    StoredGrant::new(grant, START)
}

/// A session on a store that holds the first grant, read and fresh; its log begins here.
pub(crate) fn settled(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    settled_with(script, Policy::default())
}

/// The same, by a policy of the test's own.
pub(crate) fn settled_with(script: &Scripted, policy: Policy) -> (Session, VirtualTime, Ledger) {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let session = ledger.builder(script, &time).policy(policy).build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    ledger.take_log();
    (session, time, ledger)
}
