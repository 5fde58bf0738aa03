//! The file store where its file holds nothing, or nothing that can be understood: what is kept, what is
//! written back, and what a login clears.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::keyed::Sessions;
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::{Store, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Answer, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

fn store() -> (TempDir, FileStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::open(directory.path().join("grant.json")).expect("a store");
    (directory, store)
}

fn session(store: &FileStore, script: &Scripted, time: &VirtualTime) -> Session {
    let builder = Session::builder_with(script.clone()).store(store.clone()).clock(time.clone());
    builder.without_jitter().random(|| 1 << 31).build().expect("nothing to check")
}

fn login(number: u32) -> Grant {
    Grant::new(format!("at-{number}"), format!("rt-{number}"), HOUR)
}

fn content(store: &FileStore) -> Versioned {
    block_on(store.load()).expect("a store that can be read")
}

fn refresh_token(store: &FileStore) -> Option<String> {
    let grant = content(store).grant?.grant;
    grant.refresh_token().map(Secret::expose).map(str::to_owned)
}

fn copy_of(store: &FileStore) -> PathBuf {
    Path::new(&format!("{}.damaged", store.path().display())).to_owned()
}

/// What is left of a file where nothing of it is.
const EMPTIED: [&[u8]; 5] = [b"", b"\n", b" \r\n\t ", &[0; 512], b"\0\0\n"];

/// What is damaged, and may be of use to somebody.
const DAMAGED: [&[u8]; 7] = [
    b"null",
    b"{}",
    b"[]",
    b"{\"format\":1,\"version\":7,\"grant\":{\"access_token\":\"at-planted\",\"ref",
    b"{\"format\":3,\"version\":7,\"grant\":null}",
    b"\xff\xfe\0\0",
    b"rt-planted",
];

// Rule F5. Case X42.
#[test]
fn an_emptied_file_is_an_empty_store_to_a_session_that_holds_no_grant() {
    for emptied in EMPTIED {
        let (_directory, store) = store();
        let time = VirtualTime::at(START);
        fs::write(store.path(), emptied).expect("an emptied file");
        let session = session(&store, &Scripted::new(), &time);
        let error = session.token_blocking().expect_err("nobody has logged in");
        assert!(error.is_login_required() && !error.is_store(), "{emptied:?}: {error}");
        session.install_blocking(login(1)).expect("a login");
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-1");
        assert_eq!(refresh_token(&store).as_deref(), Some("rt-1"));
        assert!(!copy_of(&store).exists(), "of nothing there is nothing to keep");
        // A grant that the program brings along is one that is held.
        fs::write(store.path(), emptied).expect("an emptied file");
        let builder = Session::builder_with(Scripted::new()).store(store.clone());
        let seeded = builder.grant(login(5)).clock(time.clone()).build().expect("sendable");
        assert_eq!(seeded.token_blocking().expect("a token").expose(), "at-5");
        assert_eq!(refresh_token(&store).as_deref(), Some("rt-5"));
    }
}

// Rules F2, F5. Case X42.
#[test]
fn a_session_that_holds_a_grant_keeps_it_and_writes_it_back_to_an_emptied_file() {
    for emptied in EMPTIED {
        for fails in [false, true] {
            let (_directory, store) = store();
            let (time, mut script) = (VirtualTime::at(START), Scripted::new());
            if fails {
                script = script.then(Answer::Fail(RefreshError::unavailable("503")));
            }
            let session = session(&store, &script, &time);
            session.install_blocking(login(1)).expect("a login");
            fs::write(store.path(), emptied).expect("an emptied file");
            assert_eq!(session.token_blocking().expect("it still works").expose(), "at-1");
            time.advance(HOUR);
            let token = session.token_blocking();
            assert_eq!(token.is_err(), fails, "{emptied:?}: {token:?}");
            assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
            let expected = if fails { "rt-1" } else { "rt-2" };
            assert_eq!(refresh_token(&store).as_deref(), Some(expected));
            assert_eq!(content(&store).grant.expect("a grant").intent, None);
            assert!(session.is_saved());
            // Whoever starts anew goes on from there, and hands out nothing that is over.
            let anew = Scripted::new();
            let second = self::session(&store, &anew, &time);
            assert!(second.token_blocking().is_ok());
            assert_eq!(anew.requests(), usize::from(fails));
        }
    }
}

// Rule F5. Case X42. Nobody takes an emptied file's version for one that they had read.
#[test]
fn a_write_to_an_emptied_file_has_a_version_that_none_before_had() {
    let (_directory, store) = store();
    let grant = StoredGrant::new(login(1), START);
    let mut last = Version::EMPTY;
    for _ in 0..5 {
        let next = Some(grant.clone());
        let Ok(Swap::Done(version)) = block_on(store.swap(last, next)) else { panic!("written") };
        last = version;
    }
    for emptied in EMPTIED {
        fs::write(store.path(), emptied).expect("an emptied file");
        let error = block_on(store.load()).expect_err("emptied");
        assert!(error.is_damaged() && error.is_emptied(), "{error}");
        let swapped = block_on(store.swap(Version::EMPTY, Some(grant.clone()))).expect("written");
        let Swap::Done(version) = swapped else { panic!("nobody else writes: {swapped:?}") };
        assert!(version > Version::new(5), "{version:?}");
        let stale = block_on(store.swap(last, None)).expect("an answer");
        assert!(matches!(stale, Swap::Conflict(_)), "{stale:?}");
    }
}

// Rule F5. Case X42. More of the kind.
#[test]
fn a_login_replaces_whatever_is_damaged_and_keeps_a_copy_beside_it() {
    for damaged in DAMAGED {
        let (directory, store) = store();
        let time = VirtualTime::at(START);
        fs::write(store.path(), damaged).expect("a damaged file");
        let session = session(&store, &Scripted::new(), &time);
        let error = session.token_blocking().expect_err("damaged");
        assert!(error.is_store(), "{error}");
        assert_eq!(fs::read(store.path()).expect("the file"), damaged, "it was left as it is");
        session.install_blocking(login(1)).expect("a login");
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-1");
        assert_eq!(refresh_token(&store).as_deref(), Some("rt-1"));
        assert_eq!(fs::read(copy_of(&store)).expect("the copy"), damaged);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(copy_of(&store)).expect("the copy").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 3);
        time.advance(HOUR);
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
    }
}

// Rules B11, F5. Case X42. More of the kind: nothing of it may come back.
#[test]
fn a_logout_replaces_whatever_is_damaged_and_keeps_no_copy() {
    for damaged in DAMAGED.into_iter().chain(EMPTIED) {
        let (_directory, store) = store();
        let session = session(&store, &Scripted::new(), &VirtualTime::at(START));
        session.install_blocking(login(1)).expect("a login");
        fs::write(store.path(), damaged).expect("a damaged file");
        session.logout_blocking().expect("a logout");
        assert_eq!(content(&store).grant, None);
        assert!(!copy_of(&store).exists());
    }
}

// Rule F5. Case X42.
#[test]
fn what_somebody_has_mended_meanwhile_is_not_replaced_as_damaged() {
    let (_directory, store) = store();
    let grant = Some(StoredGrant::new(login(1), START));
    assert_eq!(
        block_on(store.swap(Version::EMPTY, grant.clone())).expect("written"),
        Swap::Done(Version::new(1))
    );
    let swapped = block_on(store.replace_damaged(None)).expect("an answer");
    assert_eq!(swapped, Swap::Conflict(Versioned { version: Version::new(1), grant }));
}

// Rules F2, F5. Case X42. More of the kind: a key that is packed when its file is emptied.
#[test]
fn a_packed_key_whose_file_is_emptied_keeps_its_grant() {
    let (_directory, store) = store();
    let (time, kept) = (VirtualTime::at(START), store.clone());
    let sessions = Sessions::builder(|_: &u64, request: perennial::refresh::Request| {
        let presented = request.refresh_token().map(Secret::expose).map(str::to_owned);
        async move {
            assert_eq!(presented.as_deref(), Some("rt-1"));
            Ok::<_, RefreshError>(login(2))
        }
    });
    let sessions = sessions.stores(move |_| kept.clone()).clock(time.clone()).build();
    sessions.install_blocking(&1, login(1)).expect("a login");
    sessions.sweep();
    sessions.sweep();
    assert_eq!((sessions.len(), sessions.in_use()), (1, 0));
    fs::write(store.path(), "").expect("an emptied file");
    time.advance(HOUR);
    assert_eq!(sessions.token_blocking(&1).expect("a token").expose(), "at-2");
    assert_eq!(refresh_token(&store).as_deref(), Some("rt-2"));
}
