//! Where families are kept.

use perennial::clock::Clock as _;
use perennial::issue::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, Issuer, Login, MemoryFamilies, VersionedFamily,
};
use perennial::rotation::{Policy, Row};
use perennial::store::{StoreError, Version};
use perennial::testing::family_store_conforms;
use perennial::time::Timestamp;

use super::support::{DAY, HOUR, MILLI, Rig, SECOND, block_on, just_before, keys, refresh_token};

// Rules D1, D3.
#[test]
fn families_in_memory_are_kept_as_an_issuer_relies_on() {
    block_on(family_store_conforms(&MemoryFamilies::new()));
}

#[test]
fn a_store_in_memory_says_how_many_families_it_keeps_and_nothing_else() {
    let families = MemoryFamilies::new();
    assert!(families.is_empty());
    let issuer = Issuer::builder(keys(), families.clone()).build();
    let login = Login::new("web", "alice");
    block_on(issuer.login(login)).expect("a login begins a family");
    assert!(!families.is_empty());
    assert_eq!(format!("{families:?}"), "MemoryFamilies { len: 1 }");
}

#[test]
fn a_family_has_one_name_and_no_other_text_is_one() {
    let family = FamilyId::from_bytes(*b"\x00\x01the names \xfe\xff n");
    let text = family.to_string();
    assert_eq!(text, "0001746865206e616d657320feff206e");
    assert_eq!(
        (FamilyId::parse(&text), format!("{family:?}")),
        (Some(family), format!("FamilyId({text})"))
    );
    let short = &text[1..];
    let (upper, signed, longer) = (text.to_uppercase(), format!("+{short}"), format!("{text}0"));
    for other in ["", short, &upper, &signed, &longer, "not a number of 32 digits, though"] {
        assert_eq!(FamilyId::parse(other), None, "{other:?}");
    }
}

/// Stores that do one thing wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Flaw {
    ClaimsWhateverTheVersion,
    RevokesUnderTheSameVersion,
    ForgetsTheScope,
    GivesANameTwice,
    RevokesTheFirstOfASubject,
    TellsALoserNothing,
    ShowsInAnyOrder,
    PurgesAtOnce,
}

struct Flawed(MemoryFamilies, Flaw);

impl FamilyStore for Flawed {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        let scope = record.scope.clone().filter(|_| self.1 != Flaw::ForgetsTheScope);
        let inserted = self.0.insert(id, FamilyRecord { scope, ..record }).await;
        if self.1 == Flaw::GivesANameTwice { Ok(()) } else { inserted }
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        let found = self.0.find(id).await?;
        Ok(found.map(|found| match self.1 {
            Flaw::RevokesUnderTheSameVersion if found.record.is_revoked() => {
                VersionedFamily { version: Version::new(found.version.number() - 1), ..found }
            }
            Flaw::RevokesUnderTheSameVersion
            | Flaw::ClaimsWhateverTheVersion
            | Flaw::ForgetsTheScope
            | Flaw::GivesANameTwice
            | Flaw::RevokesTheFirstOfASubject
            | Flaw::TellsALoserNothing
            | Flaw::ShowsInAnyOrder
            | Flaw::PurgesAtOnce => found,
        }))
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        let found = self.0.find(id).await?;
        let expected = match (self.1, &found) {
            (Flaw::ClaimsWhateverTheVersion, Some(found)) => found.version,
            (Flaw::RevokesUnderTheSameVersion, Some(found)) if found.record.is_revoked() => {
                Version::new(expected.number() + 1)
            }
            _ => expected,
        };
        let claim = self.0.swap(id, expected, family, forget_at).await?;
        Ok(match (claim, self.1) {
            (FamilySwap::Conflict(_), Flaw::TellsALoserNothing) => FamilySwap::Conflict(None),
            (claim, _) => claim,
        })
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.0.revoke(id).await
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        if self.1 == Flaw::RevokesTheFirstOfASubject {
            return Ok(1);
        }
        self.0.revoke_subject(subject).await
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        let mut found = self.0.families_of(subject, most).await?;
        if self.1 == Flaw::ShowsInAnyOrder {
            found.reverse();
        }
        Ok(found)
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        if self.1 == Flaw::PurgesAtOnce {
            self.0.purge(now).await?;
            let then = now.saturating_add(perennial::issue::PURGE_CONFIRMED_AFTER);
            return self.0.purge(then).await;
        }
        self.0.purge(now).await
    }
}

#[test]
fn the_kit_notices_each_store_that_does_otherwise() {
    let flaws = [
        Flaw::ClaimsWhateverTheVersion,
        Flaw::RevokesUnderTheSameVersion,
        Flaw::ForgetsTheScope,
        Flaw::GivesANameTwice,
        Flaw::RevokesTheFirstOfASubject,
        Flaw::TellsALoserNothing,
        Flaw::ShowsInAnyOrder,
        Flaw::PurgesAtOnce,
    ];
    println!("bad stores: {}", flaws.len());
    for flaw in flaws {
        let store = Flawed(MemoryFamilies::new(), flaw);
        let run = std::panic::AssertUnwindSafe(|| block_on(family_store_conforms(&store)));
        assert!(std::panic::catch_unwind(run).is_err(), "{flaw:?} was not noticed");
        println!("noticed: 1, {flaw:?}");
    }
}

#[test]
fn what_has_outlived_itself_is_forgotten_as_others_are_added() {
    let rig = Rig::new(Policy::default().idle_lifetime(DAY));
    for _ in 0..100 {
        rig.log_in();
    }
    let used = rig.log_in();
    rig.time.advance(just_before(DAY));
    let used = rig.present(&refresh_token(&used)).expect("used in time");
    rig.time.advance(MILLI);
    rig.log_in();
    rig.time.advance(just_before(HOUR));
    rig.log_in();
    assert_eq!(rig.store.len(), 103, "found over once");
    rig.time.advance(MILLI);
    rig.log_in();
    assert_eq!(rig.store.len(), 4);
    rig.present(&refresh_token(&used)).expect("what was used is kept");
}

// Rule D4.
#[test]
fn a_clock_that_jumps_ahead_for_a_while_ends_no_login() {
    let rig = Rig::new(Policy::default());
    let first = rig.log_in();
    for years in [1, 10, 3] {
        let now = rig.time.now();
        rig.time.advance(365 * DAY * years);
        rig.log_in();
        block_on(rig.issuer.purge()).expect("a purge");
        rig.time.set(now);
        rig.log_in();
        rig.time.advance(HOUR);
        block_on(rig.issuer.purge()).expect("a purge");
    }
    rig.present(&refresh_token(&first)).expect("it was not deleted");
    rig.time.advance(366 * DAY);
    block_on(rig.issuer.purge()).expect("a purge");
    rig.time.advance(HOUR);
    assert_eq!(rig.store.len(), 7);
    assert_eq!(block_on(rig.issuer.purge()).expect("a purge"), 4, "what is over goes");
    assert_eq!(rig.store.len(), 3, "what began while the clock was ahead is over later");
}

// Rule D4.
#[test]
fn what_clients_get_for_themselves_is_kept_no_longer_than_its_token_works() {
    let rig = Rig::with(Policy::default(), |builder| builder.access_lifetime(SECOND));
    let login = rig.log_in();
    for _ in 0..1000 {
        let issued = block_on(rig.issuer.client_credentials("robot", None)).expect("a token");
        assert!(issued.refresh_token.is_none());
        rig.time.advance(10 * MILLI);
    }
    assert_eq!(rig.store.len(), 101, "a second's, and the login");
    rig.present(&refresh_token(&login)).expect("a login is another thing");
    let last = block_on(rig.issuer.client_credentials("robot", None)).expect("a token");
    assert!(rig.works(&last.access_token));
    assert_eq!(block_on(rig.issuer.revoke_subject("robot")).expect("it is well"), 100);
    assert!(!rig.works(&last.access_token), "it can be revoked");
}

// Rule D11.
#[test]
fn a_subject_sees_its_logins_that_work_and_ends_one_and_no_other_subject_s() {
    let rig = Rig::new(Policy::default());
    let log_in = |subject: &str, device: &str| {
        rig.time.advance(SECOND);
        let login = Login::new("web", subject).device(device);
        block_on(rig.issuer.login(login)).expect("a login")
    };
    let phone = log_in("alice", "phone");
    let laptop = log_in("alice", "laptop");
    let other = log_in("bob", "phone");
    let client = block_on(rig.issuer.client_credentials("alice's robot", None));
    assert!(client.is_ok());
    let shown = || {
        let logins = block_on(rig.issuer.families_of("alice")).expect("it is well");
        logins.into_iter().map(|it| it.device.expect("a label")).collect::<Vec<_>>()
    };
    assert_eq!(shown(), ["laptop", "phone"]);
    rig.time.advance(SECOND);
    rig.present(&refresh_token(&phone)).expect("it works");
    assert_eq!(shown(), ["phone", "laptop"], "used last, first");
    let ended = |family| block_on(rig.issuer.revoke_family("alice", family)).expect("it is well");
    assert!(!ended(other.family), "another subject's");
    assert!(rig.works(&other.access_token));
    assert!(ended(laptop.family));
    assert!(!rig.works(&laptop.access_token));
    assert_eq!(shown(), ["phone"]);
    rig.time.advance(91 * DAY);
    assert!(shown().is_empty(), "it is over");
}

// Rule D4. What is forgotten is refused, so it must not be forgotten while it may work.
#[test]
fn an_access_token_works_until_its_family_is_over_and_no_longer() {
    let store = MemoryFamilies::new();
    let time = perennial::testing::VirtualTime::at(super::support::START);
    let issuer = Issuer::builder(keys(), store)
        .policy(Policy::default().idle_lifetime(HOUR))
        .access_lifetime(DAY)
        .clock(time.clone())
        .build();
    let login = block_on(issuer.login(Login::new("web", "alice"))).expect("a login");
    assert_eq!(login.expires_in, HOUR);
    time.advance(just_before(HOUR));
    block_on(issuer.login(Login::new("web", "bob"))).expect("a login");
    assert!(block_on(issuer.authenticate(&login.access_token)).is_ok());
    let token = refresh_token(&login);
    let second = block_on(issuer.refresh("web", &token, None)).expect("used in time");
    assert_eq!(second.expires_in, HOUR);
    time.advance(MILLI);
    assert!(block_on(issuer.authenticate(&login.access_token)).is_err());
    assert!(block_on(issuer.authenticate(&second.access_token)).is_ok());
}
