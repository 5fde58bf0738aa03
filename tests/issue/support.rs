//! An issuer in virtual time, on a store that counts what is written and can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
pub(crate) use futures::executor::block_on;
use perennial::issue::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, GrantError, InvalidGrant, Issued, Issuer,
    IssuerBuilder, Keys, Login, MemoryFamilies, VersionedFamily,
};
use perennial::rotation::{Policy, Reuse, Row};
use perennial::store::{StoreError, Version};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Secret;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const WINDOW: Duration = Duration::from_secs(30);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A millisecond less.
pub(crate) fn just_before(span: Duration) -> Duration {
    span.checked_sub(MILLI).expect("no shorter than a millisecond")
}

pub(crate) fn keys() -> Keys {
    Keys::new([7; 32]).expect("long enough")
}

pub(crate) fn policies() -> [Policy; 5] {
    [
        Reuse::Strict,
        Reuse::overlap_access_only(WINDOW),
        Reuse::overlap_successors(WINDOW),
        Reuse::idempotent(WINDOW),
        Reuse::ConfirmByUse,
    ]
    .map(Policy::new)
}

/// A store in memory that is watched.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    families: MemoryFamilies,
    writes: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    /// Revoke the family just before the next claim on it.
    rival: Arc<AtomicBool>,
}

impl Watched {
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(crate) fn revoke_before_the_next_claim(&self) {
        self.rival.store(true, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.families.len()
    }

    pub(crate) fn newest(&self, family: FamilyId) -> u64 {
        let found = self.families.find(family).now_or_never().expect("it waits for nothing");
        found.expect("in memory").expect("kept").record.family.newest
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(StoreError::unreachable("it is down"));
        }
        Ok(())
    }

    fn write(&self) -> Result<(), StoreError> {
        self.check()?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl FamilyStore for Watched {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        self.write()?;
        self.families.insert(id, record).await
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        self.check()?;
        self.families.find(id).await
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        self.write()?;
        if self.rival.swap(false, Ordering::Relaxed) {
            self.families.revoke(id).await?;
        }
        self.families.swap(id, expected, family, forget_at).await
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.write()?;
        self.families.revoke(id).await
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        self.write()?;
        self.families.revoke_subject(subject).await
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        self.check()?;
        self.families.families_of(subject, most).await
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write()?;
        self.families.purge(now).await
    }
}

/// An issuer, the time, and what it keeps.
pub(crate) struct Rig {
    pub(crate) issuer: Issuer<Watched>,
    pub(crate) time: VirtualTime,
    pub(crate) store: Watched,
}

impl Rig {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::with(policy, |builder| builder)
    }

    pub(crate) fn with(
        policy: Policy,
        more: impl FnOnce(IssuerBuilder<Watched>) -> IssuerBuilder<Watched>,
    ) -> Self {
        Self::on(Watched::default(), policy, more)
    }

    pub(crate) fn on(
        store: Watched,
        policy: Policy,
        more: impl FnOnce(IssuerBuilder<Watched>) -> IssuerBuilder<Watched>,
    ) -> Self {
        let time = VirtualTime::at(START);
        let builder = Issuer::builder(keys(), store.clone()).policy(policy).clock(time.clone());
        Self { issuer: more(builder).build(), time, store }
    }

    pub(crate) fn log_in(&self) -> Issued {
        let login = Login::new("web", "alice").scope("read write");
        block_on(self.issuer.login(login)).expect("a login begins a family")
    }

    pub(crate) fn present(&self, token: &Secret) -> Result<Issued, GrantError> {
        block_on(self.issuer.refresh("web", token, None))
    }

    /// Presents it, and gives why it is refused.
    pub(crate) fn refused(&self, token: &Secret) -> InvalidGrant {
        why(&self.present(token).expect_err("it does not work"))
    }

    pub(crate) fn works(&self, access_token: &Secret) -> bool {
        block_on(self.issuer.authenticate(access_token)).is_ok()
    }
}

pub(crate) fn why(denied: &GrantError) -> InvalidGrant {
    let GrantError::InvalidGrant(why) = denied else { panic!("denied otherwise: {denied:?}") };
    *why
}

pub(crate) fn refresh_token(issued: &Issued) -> Secret {
    issued.refresh_token.clone().expect("there is a refresh token")
}
