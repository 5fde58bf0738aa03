//! Records that are sealed: what the store around which they are sealed sees, and what is done where a record
//! cannot be opened.

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
use perennial::keyed::Sessions;
use perennial::refresh::{BoxFuture, RefreshError, Request};
use perennial::session::Session;
use perennial::store::{
    Acquired, Intent, Lease, MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::{Scripted, StoreConformance, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};

const HOUR: Duration = Duration::from_secs(3600);
const SENT: Timestamp = Timestamp::from_secs(1_700_000_000);

fn key(seed: u8) -> SealingKey {
    SealingKey::new([seed; 32])
}

fn keys(seed: u8) -> Keys {
    Keys::new(key(seed))
}

fn sealed(inner: &MemoryStore, keys: &Keys) -> Sealed<MemoryStore> {
    Sealed::new(inner.clone(), keys, "tenant-42")
}

fn sample(what: &str) -> StoredGrant {
    let grant = Grant::new(format!("planted-at-{what}"), format!("planted-rt-{what}"), HOUR)
        .with_field("scope", "planted-scope")
        .with_field("id_token", "planted-id");
    let intent = Some(Intent { since: SENT, until: Some(SENT), holder: Some(7) });
    StoredGrant { intent, ..StoredGrant::new(grant, SENT) }
}

fn put(store: &impl Store, grant: Option<StoredGrant>) -> Version {
    let before = block_on(store.load()).expect("it can be read").version;
    match block_on(store.swap(before, grant)).expect("it can be written") {
        Swap::Done(version) => version,
        Swap::Conflict(_) => panic!("nobody else writes"),
    }
}

fn load(store: &impl Store) -> Option<StoredGrant> {
    block_on(store.load()).expect("it can be read").grant
}

/// The text that the inner store keeps.
fn record(inner: &MemoryStore) -> String {
    let kept = inner.content().grant.expect("a record");
    kept.grant.refresh_token().expect("a record").expose().to_owned()
}

/// Puts a record into the inner store, as somebody who may write to it could.
fn plant(inner: &MemoryStore, record: &str) -> Versioned {
    let kept = StoredGrant::new(Grant::of_refresh_token(record), Timestamp::UNIX_EPOCH);
    let swap = inner.swap(inner.content().version, Some(kept));
    swap.now_or_never().expect("memory").expect("written");
    inner.content()
}

#[track_caller]
fn damage(result: Result<impl std::fmt::Debug, StoreError>) -> String {
    let error = result.expect_err("it cannot be opened");
    assert!(error.is_damaged() && !error.is_emptied(), "{error:?}");
    let shown = format!("{error} {error:?} {:?}", error.source());
    assert!(!shown.contains("planted"), "{shown}");
    error.to_string()
}

// Rules F1, F5.
#[test]
fn a_sealed_store_in_memory_conforms() {
    let inner = MemoryStore::new();
    let damaged = inner.clone();
    let checked = StoreConformance::new(move || sealed(&inner, &keys(1)))
        .damaged(move || drop(plant(&damaged, "v1.k.not-a-record")))
        .check();
    assert_eq!(block_on(checked), Ok(()));
}

// Rules F1, F5. The version stays where the text of a record is changed in its file.
#[test]
fn a_sealed_store_in_a_file_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, gone) = (directory.path().join("grant.json"), directory.path().join("gone"));
    fs::create_dir(&gone).expect("a directory");
    let lost = Sealed::new(FileStore::open(gone.join("g")).expect("a store"), &keys(1), "t");
    fs::remove_dir_all(&gone).expect("removed");
    let file = path.clone();
    let open = move || Sealed::new(FileStore::open(&path).expect("a store"), &keys(1), "t");
    let change = move || {
        let text = fs::read_to_string(&file).expect("a file");
        let at = text.find("v1.").expect("a record") + 40;
        let other = if text[at..].starts_with('A') { "B" } else { "A" };
        fs::write(&file, format!("{}{other}{}", &text[..at], &text[at + 1..])).expect("written");
    };
    let checked = StoreConformance::new(open).damaged(change).unreachable(move || lost.clone());
    assert_eq!(block_on(checked.writers(4, 8).check()), Ok(()));
}

// Rules G1, G2.
#[test]
fn the_inner_store_sees_neither_tokens_nor_fields_nor_times() {
    let directory = tempfile::tempdir().expect("a directory");
    let inner = FileStore::open(directory.path().join("grant.json")).expect("a store");
    let store = Sealed::new(inner.clone(), &keys(1), "tenant-42");
    put(&store, Some(sample("x")));
    let text = fs::read_to_string(inner.path()).expect("a file");
    for planted in ["planted", "scope", "id_token", "1700000000", "tenant"] {
        assert!(!text.contains(planted), "{planted} in {text}");
    }
    let kept = load(&inner).expect("a record");
    assert_eq!(
        (kept.acquired_at, kept.expires_at, kept.intent),
        (Timestamp::UNIX_EPOCH, None, None)
    );
    assert_eq!(load(&store), Some(sample("x")));
    put(&store, None);
    assert_eq!((load(&inner), load(&store)), (None, None));
}

#[test]
fn one_grant_is_sealed_differently_each_time() {
    let inner = MemoryStore::new();
    let store = sealed(&inner, &keys(1));
    put(&store, Some(sample("x")));
    let first = record(&inner);
    put(&store, Some(sample("x")));
    let second = record(&inner);
    let same = first.bytes().zip(second.bytes()).skip(15).filter(|(a, b)| a == b).count();
    assert!(same < first.len() / 8, "{same} characters of {} are the same", first.len());
}

/// A record as format v1 has it, made with libsodium. Whoever changes the format reads this one as well.
const EARLIER: &str = "v1.OwMsqsNiEiY.AAECAwQFBgcICQoLDA0ODxAREhMUFRYX0zXN6ohxOtEH_bNrxJTK3iy_V3k2zQZd0XrF4PS4tq14HO4PlvEtg0mVWxZSwtLG3AcnreoEZb71YdvQz-C49ePEtyzRwiQvNp96fxI7XsJHS_r1jsmUD4fgI9O5KcUuizxwFR40sgZEr69LEgDGAcnUXTFn99ycdpXshXJznZUS7dOhaZJIkgbWVnGE-CcWYoNW1YIRnXRVOFbGsplccQn6ltbPPVb0ml_NSQRctRCHf2GNq7SzO9_qmiiC0as8RamHYYGAmyrFZFfiL-YAJG1p_HVioBFYjINje_IlX_xuMLn7cLrnX0a5Ba2GKuoLb6Q2T9tNdOHKNjMDLD0MeuyWu-gzK5BFA04O1SEgP3KDo05kZw8q6Eheo6YVI4GDtGzXPS_ceUyM7HCpw-DSMERIxesABXuWyNt59lMHk0rEzOPRErU";

#[test]
fn a_record_of_format_v1_that_libsodium_has_sealed_is_opened() {
    let inner = MemoryStore::new();
    plant(&inner, EARLIER);
    let grant = load(&sealed(&inner, &keys(7))).expect("a grant");
    assert_eq!(grant, sample("earlier"));
}

// Rule F5.
#[test]
fn a_record_of_another_name_is_not_opened_and_not_overwritten() {
    let inner = MemoryStore::new();
    put(&Sealed::new(inner.clone(), &keys(1), "tenant-41"), Some(sample("of 41")));
    let before = inner.content();
    let store = sealed(&inner, &keys(1));
    let said = damage(block_on(store.load()));
    assert!(said.contains("\"tenant-42\"") && said.contains("under another name"), "{said}");
    for expected in [before.version, Version::EMPTY] {
        damage(block_on(store.swap(expected, Some(sample("new")))));
        damage(block_on(store.swap(expected, None)));
    }
    assert_eq!(inner.content(), before);
    // A login replaces it.
    let replaced = block_on(store.replace_damaged(Some(sample("login")))).expect("written");
    assert_eq!(replaced, Swap::Done(before.version.next()));
    assert_eq!(load(&store), Some(sample("login")));
    // And nothing that can be opened.
    let kept = inner.content();
    let told = block_on(store.replace_damaged(Some(sample("again")))).expect("read");
    assert!(matches!(told, Swap::Conflict(found) if found.grant == Some(sample("login"))));
    assert_eq!(inner.content(), kept);
}

// Rule F5.
#[test]
fn the_error_for_an_unknown_key_names_it_and_what_to_do() {
    let inner = MemoryStore::new();
    put(&sealed(&inner, &keys(1)), Some(sample("x")));
    let said = damage(block_on(sealed(&inner, &keys(2).and_older(key(3))).load()));
    assert_eq!(
        said,
        format!(
            "the sealed record of \"tenant-42\" cannot be opened: it is sealed with the key {}, and this program \
             has {}, {}: give it that key, too, by `Keys::and_older`. It was left as it is; a login replaces it",
            key(1).id(),
            key(2).id(),
            key(3).id(),
        )
    );
}

#[test]
fn keys_are_rotated_without_a_login() {
    let inner = MemoryStore::new();
    let (before, between) = (sealed(&inner, &keys(1)), sealed(&inner, &keys(1).and_older(key(2))));
    let (after, at_last) = (sealed(&inner, &keys(2).and_older(key(1))), sealed(&inner, &keys(2)));
    let uses = |seed| record(&inner).starts_with(&format!("v1.{}.", key(seed).id()));
    put(&before, Some(sample("1")));
    put(&between, Some(sample("2")));
    assert!(uses(1), "the older one seals while it is the current one");
    assert_eq!(load(&after), Some(sample("2")));
    put(&after, Some(sample("3")));
    assert!(uses(2), "the current one seals");
    assert_eq!((load(&between), load(&at_last)), (Some(sample("3")), Some(sample("3"))));
    damage(block_on(before.load()));
}

// Rule F5.
#[test]
fn a_record_that_was_changed_anywhere_is_damage_and_no_panic() {
    let inner = MemoryStore::new();
    let store = sealed(&inner, &keys(1));
    put(&store, Some(sample("x")));
    let good = record(&inner);
    let mut changed: Vec<String> = Vec::new();
    for at in 0..good.len() {
        changed.push(good[..at].to_owned());
        let other = if good[at..].starts_with('A') { 'B' } else { 'A' };
        changed.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    let longer = ["=", "A", ".", " ", "\n", "\u{e9}"].map(|end| format!("{good}{end}"));
    changed.extend(longer);
    changed.extend([good.to_uppercase(), format!(" {good}"), good.replace("v1", "v2")]);
    // The last character has bits to spare, which are zero in a record.
    for record in &changed {
        plant(&inner, record);
        damage(block_on(store.load()));
    }
    plant(&inner, &good);
    assert_eq!(load(&store), Some(sample("x")));
    // Something beside the record.
    let beside = Grant::new("at", &*good, HOUR);
    put(&inner, Some(StoredGrant::new(beside, SENT)));
    damage(block_on(store.load()));
    put(&inner, Some(StoredGrant::new(Grant::of_access_token("at", HOUR), SENT)));
    damage(block_on(store.load()));
}

#[test]
fn a_record_that_is_not_sealed_is_read_only_where_that_is_asked_for_and_sealed_by_the_next_write() {
    let inner = MemoryStore::new();
    put(&inner, Some(sample("plain")));
    let said = damage(block_on(sealed(&inner, &keys(1)).load()));
    assert!(said.contains("`accept_unsealed`"), "{said}");
    let store = sealed(&inner, &keys(1)).accept_unsealed();
    assert_eq!(load(&store), Some(sample("plain")));
    put(&store, load(&store));
    assert!(record(&inner).starts_with("v1."));
    assert_eq!(load(&sealed(&inner, &keys(1))), Some(sample("plain")));
    // What looks sealed is never taken for a grant.
    plant(&inner, "v1.truncated");
    damage(block_on(store.load()));
}

// Rules F2, F5.
#[test]
fn a_session_keeps_its_grant_sealed_and_overwrites_what_it_cannot_open_by_a_login_only() {
    let (inner, time) = (MemoryStore::new(), VirtualTime::at(SENT));
    let session = |keys: &Keys| {
        let builder = Session::builder_with(Scripted::new()).clock(time.clone());
        builder.store(sealed(&inner, keys)).build().expect("a session")
    };
    let first = session(&keys(1));
    block_on(first.install(Grant::new("planted-at-1", "planted-rt-1", HOUR))).expect("stored");
    time.advance(HOUR);
    assert_eq!(block_on(first.token()).expect("refreshed").expose(), "at-2");
    let second = session(&keys(1));
    assert_eq!(block_on(second.token()).expect("from the store").expose(), "at-2");
    let before = inner.content();
    let other = session(&keys(2));
    let error = block_on(other.token()).expect_err("a key that it does not have");
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error} {source}").contains(key(1).id()), "{error}: {source}");
    assert_eq!(inner.content(), before);
    block_on(other.install(Grant::new("planted-at-9", "planted-rt-9", HOUR))).expect("a login");
    assert!(record(&inner).starts_with(&format!("v1.{}.", key(2).id())));
}

#[test]
fn of_keyed_sessions_each_record_belongs_to_its_key() {
    let inner = [MemoryStore::new(), MemoryStore::new()];
    let (time, stores) = (VirtualTime::at(SENT), inner.clone());
    let sessions = || {
        let (stores, keys) = (stores.clone(), keys(1));
        let refresh = |_: &usize, _: Request| async {
            Err::<Grant, _>(RefreshError::unavailable("nobody is there"))
        };
        Sessions::builder(refresh)
            .clock(time.clone())
            .stores(move |user| Sealed::new(stores[*user].clone(), &keys, format!("user-{user}")))
            .build()
    };
    for user in [0, 1] {
        let grant = Grant::new(format!("planted-at-{user}"), "planted-rt", HOUR);
        block_on(sessions().install(&user, grant)).expect("stored");
    }
    assert_eq!(block_on(sessions().token(&1)).expect("stored").expose(), "planted-at-1");
    let (first, second) = (record(&inner[0]), record(&inner[1]));
    plant(&inner[0], &second);
    plant(&inner[1], &first);
    for user in [0, 1] {
        block_on(sessions().token(&user)).expect_err("the other's record");
    }
}

/// A lease that one holder has, and how often it was released.
struct OneLease(MemoryStore, std::sync::Arc<std::sync::Mutex<Vec<Version>>>);

#[derive(Clone)]
struct Leasing(MemoryStore, std::sync::Arc<std::sync::Mutex<Vec<Version>>>);

impl Store for Leasing {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.0.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.0.swap(expected, next)
    }

    fn lease(&self) -> Option<std::sync::Arc<dyn Lease>> {
        Some(std::sync::Arc::new(OneLease(self.0.clone(), self.1.clone())))
    }
}

impl Lease for OneLease {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let content = self.0.content();
        Box::pin(async move {
            if term == Duration::ZERO {
                return Ok(Acquired::Busy { remaining: Some(HOUR) });
            }
            Ok(Acquired::Held(content))
        })
    }

    fn renew(&self, fence: Version, _: Duration) -> BoxFuture<Result<bool, StoreError>> {
        Box::pin(async move { Ok(fence == Version::new(1)) })
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        self.1.lock().expect("no panic").push(fence);
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn the_lease_is_the_inner_stores_and_its_content_is_opened() {
    let released = std::sync::Arc::default();
    let inner = Leasing(MemoryStore::new(), std::sync::Arc::clone(&released));
    let store = Sealed::new(inner.clone(), &keys(1), "tenant-42");
    let version = put(&store, Some(sample("x")));
    let lease = store.lease().expect("the inner store has one");
    let held = block_on(lease.acquire(HOUR)).expect("free");
    assert_eq!(held, Acquired::Held(Versioned { version, grant: Some(sample("x")) }));
    let busy = block_on(lease.acquire(Duration::ZERO)).expect("read");
    assert_eq!(busy, Acquired::Busy { remaining: Some(HOUR) });
    assert!(block_on(lease.renew(version, HOUR)).expect("renewed"));
    assert!(!block_on(lease.renew(version.next(), HOUR)).expect("lost"));
    block_on(lease.release(version)).expect("released");
    // What cannot be opened is an error, and an error leaves the lease to nobody.
    let version = plant(&inner.0, "v1.changed").version;
    damage(block_on(lease.acquire(HOUR)));
    assert_eq!(*released.lock().expect("no panic"), [Version::new(1), version]);
    assert!(sealed(&MemoryStore::new(), &keys(1)).lease().is_none());
}

#[test]
fn a_key_is_read_from_base64_in_each_of_its_forms() {
    let key = SealingKey::new(*b"\xfb\xff 30 bytes more, to  make a key");
    let text = key.to_base64();
    let text = text.expose();
    let safe = text.replace('+', "-").replace('/', "_");
    assert!(text.ends_with('=') && text != safe);
    for form in
        [text, text.trim_end_matches('='), &safe, safe.trim_end_matches('='), &format!(" {text}\n")]
    {
        assert_eq!(SealingKey::from_base64(form).expect("a key").id(), key.id(), "{form}");
    }
    for other in
        ["", "planted", &text[1..], &text[4..], &format!("{text}{text}"), &text.replace('=', "!")]
    {
        let error = SealingKey::from_base64(other).expect_err("no key");
        assert_eq!(
            error.to_string(),
            "a sealing key is 32 bytes in base64, and this text is something else"
        );
    }
    let (one, another) = (SealingKey::generate(), SealingKey::generate());
    assert_ne!(one.expect("random").id(), another.expect("random").id());
}

#[test]
fn a_key_file_is_created_once_whoever_asks_at_once_and_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("key");
    let missing = SealingKey::from_file(&path).expect_err("there is none");
    assert!(missing.to_string().contains("could not be read"), "{missing}");
    let create = || SealingKey::from_file_or_create(&path).expect("a key").id().to_owned();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let read = SealingKey::from_file(&path).expect("a key");
    assert!(ids.iter().all(|id| id == read.id()), "{ids:?}");
    let text = fs::read_to_string(&path).expect("a file");
    assert_eq!(SealingKey::from_base64(&text).expect("a key").id(), read.id());
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
}

#[test]
fn a_file_with_something_else_is_no_key_and_is_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("key");
    for content in ["planted", "{\"key\":1}", &"A".repeat(100_000), "\u{e9}", " \n"] {
        SealingKey::from_file_or_create(&path).expect("a key");
        fs::write(&path, content).expect("written");
        let error = SealingKey::from_file_or_create(&path).expect_err("no key");
        assert!(error.to_string().contains("does not contain 32 bytes in base64"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("a file"), content);
        fs::remove_file(&path).expect("removed");
    }
    fs::create_dir(&path).expect("a directory");
    SealingKey::from_file_or_create(&path).expect_err("a directory");
}

// Rule F1.
#[cfg(unix)]
#[test]
fn a_key_file_that_others_could_read_or_plant_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let directory = tempfile::tempdir().expect("a directory");
    let (path, link) = (directory.path().join("key"), directory.path().join("link"));
    SealingKey::from_file_or_create(&path).expect("a key");
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    };
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o7777, 0o600);
    let refused = |path: &std::path::Path, why: &str| {
        for result in [SealingKey::from_file(path), SealingKey::from_file_or_create(path)] {
            let error = result.expect_err("refused").to_string();
            assert!(error.contains(why) && error.contains(&path.display().to_string()), "{error}");
        }
    };
    for readable in [0o640, 0o604, 0o620, 0o602] {
        mode(&path, readable);
        refused(&path, "others may read or write it");
    }
    mode(&path, 0o400);
    SealingKey::from_file(&path).expect("for its owner alone");
    symlink(&path, &link).expect("a link");
    refused(&link, "could not be read");
    fs::remove_file(&link).expect("removed");
    fs::hard_link(&path, &link).expect("a second name");
    refused(&path, "a hard link");
    fs::remove_file(&link).expect("removed");
    mode(directory.path(), 0o777);
    refused(&path, "others may write to its directory");
}

#[test]
fn nothing_shows_a_key() {
    let key = SealingKey::new(*b"planted planted planted planted!");
    let (id, text) = (key.id().to_owned(), key.to_base64());
    let keys = Keys::new(key.clone()).and_older(self::key(1));
    let store = sealed(&MemoryStore::new(), &keys).accept_unsealed();
    let shown = format!("{key:?} {key:#?} {keys:?} {keys:#?} {store:?} {store:#?} {text:?}");
    for secret in [text.expose(), "planted", "112, 108", "706c"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(&id));
    let _: Secret = text;
}
