//! Stores that each do one thing wrong, for the conformance test to notice.
#![allow(clippy::wildcard_enum_match_arm, reason = "each flaw is met at one place")]

use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use perennial::refresh::BoxFuture;
use perennial::store::{Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};

/// What one of these stores does wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing: the control.
    None,
    StartsAtAnotherVersion,
    NeverCompletes,
    FailsNowAndThen,
    BlocksWhoLoads,
    BlocksWhoSwaps,
    ForgetsIntent,
    ForgetsExpiresAt,
    ForgetsFields,
    ForgetsRefreshIn,
    RoundsToSeconds,
    CutsLongTokens,
    KeepsWritesInItsHandle,
    VersionStays,
    TellsAnotherVersion,
    VersionMovesOnConflict,
    WritesOnConflict,
    TellsAConflictNothing,
    TakesAnyVersion,
    TakesAStaleVersion,
    ComparesThenWrites,
    ReadsInTwoSteps,
    TearsAGrant,
    LogoutDoesNothing,
    LogoutForgetsTheVersion,
    LateWriteUndoesLogout,
    LeasesToEverybody,
    LeasesToTwoAtOnce,
    LeaseReadsNothing,
    RenewsWhatever,
    ReleasesWhatever,
    NeverReleases,
    LosesTheLeaseByAWrite,
    LeaseKeepsOthersFromWriting,
    WritesInTwoSteps,
    KeepsItsLockWhenDropped,
    ReplacesWhatIsGood,
    SwallowsErrors,
    SaysDamagedWhereUnreachable,
    TakesDamageForEmptiness,
    OverwritesDamage,
    ShowsTokensInErrors,
}

#[derive(Default)]
struct Medium {
    version: u64,
    grant: Option<StoredGrant>,
    before: Option<StoredGrant>,
    damaged: bool,
    busy: bool,
    operations: u64,
    /// The fencing number of the lease that is held.
    lease: Option<Version>,
}

/// A handle of a store with a flaw. Clones share one medium.
#[derive(Clone)]
pub(crate) struct Flawed {
    flaw: Flaw,
    medium: Arc<Mutex<Medium>>,
    reachable: bool,
    /// What this handle alone has seen of the store.
    own: Arc<Mutex<Option<Versioned>>>,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let version = u64::from(flaw == Flaw::StartsAtAnotherVersion);
        let medium = Arc::new(Mutex::new(Medium { version, ..Medium::default() }));
        Self { flaw, medium, reachable: true, own: Arc::default() }
    }

    pub(crate) fn another_handle(&self) -> Self {
        Self { own: Arc::default(), ..self.clone() }
    }

    pub(crate) fn unreachable(&self) -> Self {
        Self { reachable: false, ..self.another_handle() }
    }

    pub(crate) fn damage(&self) {
        self.lock().damaged = true;
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn lock(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().expect("nothing panics under it")
    }

    /// What is wrong with the medium, if anything is.
    fn trouble(&self) -> Result<(), StoreError> {
        if !self.reachable && self.is(Flaw::SaysDamagedWhereUnreachable) {
            return Err(StoreError::damaged("no connection"));
        }
        if !self.reachable && !self.is(Flaw::SwallowsErrors) {
            return Err(StoreError::unreachable("no connection"));
        }
        let medium = self.lock();
        if medium.damaged && self.is(Flaw::ShowsTokensInErrors) {
            let grant = medium.grant.as_ref().expect("it was written");
            let token = grant.grant.access_token().map_or("", Secret::expose);
            return Err(StoreError::damaged(format!("{token} is no grant")));
        }
        if medium.damaged && !self.is(Flaw::TakesDamageForEmptiness) {
            return Err(StoreError::damaged("it is no grant"));
        }
        Ok(())
    }

    fn content(&self) -> Versioned {
        let medium = self.lock();
        if medium.damaged || !self.reachable {
            return Versioned::EMPTY;
        }
        Versioned { version: Version::new(medium.version), grant: medium.grant.clone() }
    }

    /// Waits until no operation holds the medium; only some flaws need it.
    async fn hold(&self) -> Held {
        loop {
            if !std::mem::replace(&mut self.lock().busy, true) {
                return Held(self.clone());
            }
            other_tasks().await;
        }
    }

    async fn read(self) -> Result<Versioned, StoreError> {
        self.trouble()?;
        match self.flaw {
            Flaw::BlocksWhoLoads => thread::sleep(Duration::from_millis(30)),
            Flaw::NeverCompletes => pending().await,
            Flaw::FailsNowAndThen => {
                let mut medium = self.lock();
                medium.operations += 1;
                if medium.operations % 5 == 0 {
                    return Err(StoreError::unreachable("a timeout"));
                }
            }
            Flaw::KeepsWritesInItsHandle => {
                if let Some(own) = self.own.lock().expect("nothing panics").clone() {
                    return Ok(own);
                }
            }
            Flaw::ReadsInTwoSteps => {
                let grant = self.content().grant;
                thread::sleep(Duration::from_micros(100));
                return Ok(Versioned { grant, ..self.content() });
            }
            Flaw::TearsAGrant => {
                let mut found = self.content();
                thread::sleep(Duration::from_micros(100));
                let later = self.content();
                if let (Some(found), Some(later)) = (&mut found.grant, later.grant) {
                    if let Some(token) = later.grant.refresh_token() {
                        found.grant = found.grant.clone().with_refresh_token(token.clone());
                    }
                }
                return Ok(Versioned { version: later.version, ..found });
            }
            Flaw::WritesInTwoSteps => {
                let _held = self.hold().await;
                return Ok(self.content());
            }
            Flaw::KeepsItsLockWhenDropped => {
                let held = self.hold().await;
                other_tasks().await;
                held.done();
            }
            _ => {}
        }
        Ok(self.content())
    }

    async fn write(self, expected: Version, next: Option<StoredGrant>) -> Result<Swap, StoreError> {
        if self.is(Flaw::OverwritesDamage) {
            self.lock().damaged = false;
        }
        self.trouble()?;
        if self.is(Flaw::LeaseKeepsOthersFromWriting) && self.lock().lease.is_some() {
            pending::<()>().await;
        }
        if !self.reachable {
            return Ok(Swap::Done(expected.next()));
        }
        let held = match self.flaw {
            Flaw::WritesInTwoSteps | Flaw::KeepsItsLockWhenDropped => Some(self.hold().await),
            _ => None,
        };
        if self.is(Flaw::BlocksWhoSwaps) {
            thread::sleep(Duration::from_millis(30));
        }
        if self.is(Flaw::ComparesThenWrites) {
            let current = self.lock().version;
            if current != expected.number() {
                return Ok(Swap::Conflict(self.content()));
            }
            thread::sleep(Duration::from_micros(100));
        }
        let next = next.map(|it| self.distort(it));
        {
            let mut medium = self.lock();
            let Medium { version, grant, before, lease, .. } = &mut *medium;
            let differs = *version != expected.number();
            let compares = match self.flaw {
                Flaw::TakesAnyVersion | Flaw::ComparesThenWrites => false,
                Flaw::TakesAStaleVersion => expected.number() > *version,
                Flaw::LateWriteUndoesLogout => differs && grant.is_some(),
                _ => differs,
            };
            if compares {
                match self.flaw {
                    Flaw::VersionMovesOnConflict => *version += 1,
                    Flaw::WritesOnConflict => *grant = next,
                    Flaw::TellsAConflictNothing => return Ok(Swap::Conflict(Versioned::EMPTY)),
                    _ => {}
                }
                drop(medium);
                if let Some(held) = held {
                    held.done();
                }
                return Ok(Swap::Conflict(self.content()));
            }
            if self.is(Flaw::LosesTheLeaseByAWrite) {
                *lease = None;
            }
            before.clone_from(grant);
            match (self.flaw, next) {
                (Flaw::LogoutDoesNothing, None) => {}
                (_, next) => *grant = next,
            }
            match self.flaw {
                Flaw::VersionStays if *version > 0 => {}
                Flaw::WritesInTwoSteps => {}
                Flaw::LogoutForgetsTheVersion if grant.is_none() => *version = 0,
                _ => *version += 1,
            }
        }
        if self.is(Flaw::WritesInTwoSteps) {
            other_tasks().await;
            self.lock().version += 1;
        }
        if self.is(Flaw::KeepsItsLockWhenDropped) {
            other_tasks().await;
        }
        if let Some(held) = held {
            held.done();
        }
        let content = self.content();
        if self.is(Flaw::KeepsWritesInItsHandle) {
            *self.own.lock().expect("nothing panics") = Some(content.clone());
            let mut medium = self.lock();
            let Medium { grant, before, .. } = &mut *medium;
            grant.clone_from(before);
        }
        let told = if self.is(Flaw::TellsAnotherVersion) {
            content.version.next()
        } else {
            expected.next()
        };
        match self.flaw {
            Flaw::VersionStays | Flaw::LogoutForgetsTheVersion | Flaw::TakesAnyVersion => {
                Ok(Swap::Done(content.version))
            }
            _ => Ok(Swap::Done(told)),
        }
    }

    fn replace(&self, next: Option<StoredGrant>) -> Result<Swap, StoreError> {
        if !self.reachable {
            return Err(StoreError::unreachable("no connection"));
        }
        let mut medium = self.lock();
        if !medium.damaged && !self.is(Flaw::ReplacesWhatIsGood) {
            drop(medium);
            return Ok(Swap::Conflict(self.content()));
        }
        medium.damaged = false;
        medium.version += 1;
        medium.grant = next;
        Ok(Swap::Done(Version::new(medium.version)))
    }

    /// What the medium keeps of a grant.
    fn distort(&self, stored: StoredGrant) -> StoredGrant {
        let rounded = |it: Timestamp| Timestamp::from_millis(it.as_millis() / 1000 * 1000);
        match self.flaw {
            Flaw::ForgetsIntent => StoredGrant { intent: None, ..stored },
            Flaw::ForgetsExpiresAt => StoredGrant { expires_at: None, ..stored },
            Flaw::RoundsToSeconds => {
                let expires_at = stored.expires_at.map(rounded);
                StoredGrant { acquired_at: rounded(stored.acquired_at), expires_at, ..stored }
            }
            Flaw::ForgetsFields => {
                let plain = rebuilt(&stored.grant, None);
                let plain = match stored.grant.refresh_in() {
                    Some(after) => plain.with_refresh_in(after),
                    None => plain,
                };
                StoredGrant { grant: plain, ..stored }
            }
            Flaw::ForgetsRefreshIn => {
                let mut plain = rebuilt(&stored.grant, None);
                for (name, value) in stored.grant.fields() {
                    plain = plain.with_field(name, value.clone());
                }
                StoredGrant { grant: plain, ..stored }
            }
            Flaw::CutsLongTokens => StoredGrant { grant: cut(stored.grant, 4096), ..stored },
            _ => stored,
        }
    }
}

fn rebuilt(grant: &Grant, access: Option<&str>) -> Grant {
    let access = access.or_else(|| grant.access_token().map(Secret::expose));
    match (access, grant.refresh_token()) {
        (Some(access), Some(refresh)) => Grant::new(access, refresh.clone(), grant.lifetime()),
        (Some(access), None) => Grant::of_access_token(access, grant.lifetime()),
        (None, Some(refresh)) => Grant::of_refresh_token(refresh.clone()),
        (None, None) => panic!("a grant without tokens"),
    }
}

fn cut(grant: Grant, longest: usize) -> Grant {
    let long = grant.access_token().map(Secret::expose).filter(|it| it.len() > longest);
    match long {
        Some(long) => rebuilt(&grant, Some(&long[..longest])),
        None => grant,
    }
}

impl Store for Flawed {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.clone().read()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.clone().write(expected, next)
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        std::future::ready(self.replace(next))
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(self.clone()))
    }
}

impl Lease for Flawed {
    fn acquire(&self, _: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let this = self.clone();
        Box::pin(async move {
            this.trouble()?;
            let is_free = |it: &Self| it.lock().lease.is_none();
            if !is_free(&this) && !this.is(Flaw::LeasesToEverybody) {
                return Ok(Acquired::Busy { remaining: None });
            }
            if this.is(Flaw::LeasesToTwoAtOnce) {
                thread::sleep(Duration::from_micros(100));
            }
            let content = this.content();
            // Compared and taken under one lock.
            let mut medium = this.lock();
            if medium.lease.is_some()
                && !matches!(this.flaw, Flaw::LeasesToEverybody | Flaw::LeasesToTwoAtOnce)
            {
                return Ok(Acquired::Busy { remaining: None });
            }
            medium.lease = Some(content.version);
            drop(medium);
            let none = this.is(Flaw::LeaseReadsNothing);
            Ok(Acquired::Held(if none { Versioned::EMPTY } else { content }))
        })
    }

    fn renew(&self, fence: Version, _: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let renewed = self.lock().lease == Some(fence) || self.is(Flaw::RenewsWhatever);
        Box::pin(async move { Ok(renewed) })
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        let mut medium = self.lock();
        let held = medium.lease == Some(fence) && !self.is(Flaw::NeverReleases);
        if held || self.is(Flaw::ReleasesWhatever) {
            medium.lease = None;
        }
        Box::pin(async { Ok(()) })
    }
}

/// Ends with the operation, but for the flaw of one that is dropped midway.
struct Held(Flawed);

impl Held {
    fn done(self) {
        self.0.lock().busy = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.0.is(Flaw::KeepsItsLockWhenDropped) {
            self.0.lock().busy = false;
        }
    }
}

/// Lets the other tasks go on.
async fn other_tasks() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
