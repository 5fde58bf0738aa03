//! The file store on its own: what is written, read, refused and reported.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::refresh::Request;
use perennial::session::Session;
use perennial::store::{Intent, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Scripted, VirtualTime};
use perennial::time::{Lifetime, Span, Timestamp};
use perennial::token::{Grant, Secret};
use tempfile::TempDir;

/// An empty directory, and a store in it.
fn store() -> (TempDir, FileStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::open(directory.path().join("grant.json")).expect("a store");
    (directory, store)
}

fn load(store: &FileStore) -> Versioned {
    block_on(store.load()).expect("a store that can be read")
}

/// Writes over whatever there is.
fn put(store: &FileStore, grant: Option<&StoredGrant>) -> Version {
    let before = load(store).version;
    match block_on(store.swap(before, grant.cloned())).expect("a store that can be written") {
        Swap::Done(version) => version,
        Swap::Conflict(content) => panic!("nobody else writes, and yet there is {content:?}"),
    }
}

fn sample() -> StoredGrant {
    let grant = Grant::new("at-planted", "rt-planted", Duration::from_secs(3600));
    StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000))
}

/// All that an error says, by `Display` and `Debug` and with all its sources.
fn said(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " {cause} {cause:?}").expect("a text takes all");
        source = cause.source();
    }
    text
}

// Rule F1.
#[test]
fn every_field_is_read_back_as_it_was_written() {
    let (_directory, store) = store();
    let full = Grant::new("at", "rt", Lifetime::For(Span::from_millis(3_600_001)))
        .with_refresh_in(Span::MAX)
        .with_field("scope", "read write")
        .with_field("id_token", "\"quoted\" \\ \n \u{0} ü 🦀")
        .with_field("", "");
    let sent = Timestamp::from_millis(1_700_000_000_123);
    let grants = [
        StoredGrant {
            intent: Some(Intent { since: Timestamp::from_millis(-1), until: None }),
            ..StoredGrant::new(full.clone(), sent)
        },
        StoredGrant {
            intent: Some(Intent { since: sent, until: Some(Timestamp::MAX) }),
            ..StoredGrant::new(full, sent)
        },
        StoredGrant::new(Grant::of_access_token("at", Lifetime::Unstated), Timestamp::MIN),
        StoredGrant::new(Grant::of_access_token("at", Span::ZERO), Timestamp::MAX),
        StoredGrant::new(Grant::of_refresh_token("rt"), Timestamp::UNIX_EPOCH),
        StoredGrant::new(Grant::new("at", "rt", Span::MAX), Timestamp::MIN),
    ];
    for (number, grant) in (1..).zip(&grants) {
        let version = put(&store, Some(grant));
        assert_eq!(version, Version::new(number));
        let read = load(&FileStore::open(store.path()).expect("a second handle"));
        assert_eq!(read, Versioned { version, grant: Some(grant.clone()) });
    }
    let version = put(&store, None);
    assert_eq!(load(&store), Versioned { version, grant: None });
}

// Rule A3.
#[test]
fn an_absolute_lifetime_is_read_back_as_the_relative_one_that_it_came_to() {
    let (_directory, store) = store();
    let until = Lifetime::Until {
        exp: Timestamp::from_secs(1_000),
        issuer_now: Some(Timestamp::from_secs(940)),
    };
    let sent = Timestamp::from_secs(5_000);
    put(&store, Some(&StoredGrant::new(Grant::new("at", "rt", until), sent)));
    let read = load(&store).grant.expect("a grant");
    assert_eq!(read.expires_at, Some(Timestamp::from_secs(5_060)));
    assert_eq!(read.grant.lifetime(), Lifetime::For(Span::from_secs(60)));
}

// Rule F1.
#[test]
fn a_missing_file_is_an_empty_store_and_is_not_made_by_looking_at_it() {
    let (_directory, store) = store();
    assert_eq!(load(&store), Versioned::EMPTY);
    assert!(!store.path().exists());
}

// Rule F1.
#[test]
fn a_swap_that_expects_another_version_writes_nothing_and_shows_what_is_there() {
    let (_directory, store) = store();
    let version = put(&store, Some(&sample()));
    let before = fs::read(store.path()).expect("the file");
    for expected in [Version::EMPTY, version.next()] {
        let swapped = block_on(store.swap(expected, None)).expect("an answer");
        assert_eq!(swapped, Swap::Conflict(Versioned { version, grant: Some(sample()) }));
    }
    assert_eq!(fs::read(store.path()).expect("the file"), before);
}

// Rule F1.
#[test]
fn of_many_swaps_from_many_threads_none_is_lost() {
    const THREADS: u64 = 8;
    const SWAPS: u64 = 12;
    let (_directory, store) = store();
    // Each swap adds a mark to those that it found; a swap that is lost takes its mark with it.
    let work = |thread: u64| {
        let store = FileStore::open(store.path()).expect("a handle of its own");
        for number in 0..SWAPS {
            let mut found = load(&store);
            loop {
                let mut next = found.grant.unwrap_or_else(sample);
                next.grant = next.grant.with_field(format!("{thread} {number}"), "mark");
                match block_on(store.swap(found.version, Some(next))).expect("a swap") {
                    Swap::Done(version) => break assert_eq!(version, found.version.next()),
                    Swap::Conflict(content) => found = content,
                }
            }
        }
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|it| scope.spawn(move || work(it))).collect();
        for thread in threads {
            thread.join().expect("a thread that ends");
        }
    });
    let content = load(&store);
    let grant = content.grant.expect("a grant").grant;
    let marks: BTreeSet<&str> = grant.fields().map(|(name, _)| name).collect();
    assert_eq!(marks.len() as u64, THREADS * SWAPS);
    assert_eq!(content.version.number(), THREADS * SWAPS);
}

// Rule F1.
#[test]
fn a_held_lock_stops_swaps_but_neither_the_executor_nor_reading() {
    let (_directory, store) = store();
    put(&store, Some(&sample()));
    let lock = fs::File::open(store.path().with_extension("json.lock")).expect("the lock file");
    fs4::FileExt::lock(&lock).expect("the lock");
    let mut swap = Box::pin(store.swap(Version::new(1), None));
    // Were the lock waited for in the poll, this would not end.
    assert!(swap.as_mut().now_or_never().is_none());
    assert_eq!(load(&store).version, Version::new(1));
    drop(lock);
    assert_eq!(block_on(swap).expect("a swap"), Swap::Done(Version::new(2)));
}

// Rule F5.
#[test]
fn a_damaged_file_is_an_error_that_quotes_nothing_and_is_not_overwritten() {
    let (_directory, store) = store();
    put(&store, Some(&sample()));
    let whole = fs::read_to_string(store.path()).expect("the file");
    let edit = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from} is not in {whole}");
        whole.replacen(from, to, 1).into_bytes()
    };
    let mut damaged: Vec<Vec<u8>> =
        (1..whole.trim_end().len()).map(|end| whole[..end].into()).collect();
    damaged.extend([
        b"null".to_vec(),
        b"{}".to_vec(),
        b"\xff\xferrt-planted".to_vec(),
        b"rt-planted".to_vec(),
        b"\"rt-planted\"".to_vec(),
        b"[1,7,null]".to_vec(),
        b"{\"format\":1,\"version\":7}".to_vec(),
        b"{\"format\":1,\"version\":7,\"grant\":\"rt-planted\"}".to_vec(),
        [whole.as_bytes(), b"rt-planted"].concat(),
        edit("\"format\":2", "\"format\":0"),
        edit("\"format\":2", "\"format\":1"),
        edit("\"format\":2", "\"format\":3"),
        edit("\"format\":2", "\"format\":\"rt-planted\""),
        edit("\"intent_until\":null,", ""),
        edit("\"version\":1", "\"version\":-1"),
        edit("\"version\":1", "\"version\":0"),
        edit("\"version\":1", "\"version\":1.5"),
        edit("\"version\":1", "\"version\":18446744073709551616"),
        edit("\"version\":1", "\"version\":\"rt-planted\""),
        edit("\"rt-planted\"", "[\"rt-planted\"]"),
        edit("\"refresh_token\"", "\"rt-planted\""),
        edit("\"fields\"", "\"rt-planted\":1,\"fields\""),
        edit("\"acquired_at\":", "\"acquired_at\":\"rt-planted\",\"x\":"),
        edit("\"refresh_in\":null", "\"refresh_in\":-1"),
        edit("\"refresh_in\":null,", ""),
        edit("\"at-planted\",\"refresh_token\":\"rt-planted\"", "null,\"refresh_token\":null"),
    ]);
    for content in damaged {
        fs::write(store.path(), &content).expect("a damaged file");
        let shown = String::from_utf8_lossy(&content).into_owned();
        let read = block_on(store.load()).expect_err(&shown);
        let swapped = [Version::EMPTY, Version::new(1)]
            .map(|expected| block_on(store.swap(expected, Some(sample()))).expect_err(&shown));
        for error in [&read, &swapped[0], &swapped[1]] {
            assert!(error.is_damaged(), "{shown}: {error}");
            let text = said(error);
            assert!(!text.contains("planted"), "{text}");
            assert!(text.contains(&store.path().display().to_string()), "{text}");
        }
        assert_eq!(fs::read(store.path()).expect("the file"), content, "{shown}");
    }
    fs::write(store.path(), &whole).expect("the file restored");
    assert_eq!(load(&store).grant, Some(sample()));
}

// Rule F1.
#[test]
fn a_version_that_cannot_be_counted_up_is_read_but_never_kept_for_another_grant() {
    let (_directory, store) = store();
    let content = format!("{{\"format\":1,\"version\":{},\"grant\":null}}", u64::MAX);
    fs::write(store.path(), &content).expect("a file");
    let last = Version::new(u64::MAX);
    assert_eq!(load(&store), Versioned { version: last, grant: None });
    let error = block_on(store.swap(last, Some(sample()))).expect_err("the last version");
    assert!(error.is_damaged(), "{error}");
    assert_eq!(fs::read_to_string(store.path()).expect("the file"), content);
}

// Rule F5.
#[test]
fn an_error_is_printed_with_what_it_says_and_what_is_underneath() {
    let error = StoreError::damaged("odd").with_source(std::io::Error::other("deeper"));
    let printed = format!("{error:?}");
    assert!(["odd", "deeper", "damaged: true"].iter().all(|it| printed.contains(it)), "{printed}");
}

// Rule F5.
#[test]
fn opening_says_what_is_wrong_with_the_path() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::write(at("plain"), "").expect("a file");
    fs::create_dir(at("folder")).expect("a directory");
    let wrong = |path: &Path, reason: &str| {
        let error = FileStore::open(path).expect_err(reason);
        assert!(!error.is_damaged());
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(&path.display().to_string()), "{text}");
    };
    wrong(&at("missing/grant.json"), "its directory does not exist");
    wrong(&at("plain/grant.json"), "its directory does not exist");
    wrong(&at("folder"), "is not a file");
    wrong(&at(&"x".repeat(300)), "could not be examined");
    wrong(Path::new("/"), "is not a file");
}

// Rule F5.
#[test]
fn a_directory_that_goes_away_is_out_of_reach_until_it_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).expect("a folder");
    let store = FileStore::open(folder.join("grant.json")).expect("a store");
    put(&store, Some(&sample()));
    fs::rename(&folder, directory.path().join("away")).expect("the folder moved");
    let read = block_on(store.load()).expect_err("no folder");
    let swapped = block_on(store.swap(Version::new(1), None)).expect_err("no folder");
    for error in [read, swapped] {
        assert!(!error.is_damaged() && error.source().is_some(), "{error:?}");
        assert!(error.to_string().contains("its directory does not exist"), "{error}");
    }
    fs::rename(directory.path().join("away"), &folder).expect("the folder back");
    assert_eq!(load(&store).grant, Some(sample()));
}

// Rule F2.
#[test]
fn a_session_started_anew_goes_on_from_what_the_file_holds() {
    let (_directory, store) = store();
    let time = VirtualTime::at(Timestamp::from_secs(1_000));
    let start = |refresher: &Scripted| {
        let store = FileStore::open(store.path()).expect("a handle");
        let builder = Session::builder_with(refresher.clone()).store(store).clock(time.clone());
        builder.build().expect("a session")
    };
    let refresher = Scripted::new();
    let first = start(&refresher);
    first.install_blocking(Grant::new("at-1", "rt-1", Duration::from_secs(600))).expect("a login");
    drop(first);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        // Each session knows nothing but the file, and lives past one expiry.
        let session = start(&refresher);
        tokens.push(session.token_blocking().expect("the stored token").expose().to_owned());
        time.advance(Duration::from_secs(7_200));
        tokens.push(session.token_blocking().expect("a new token").expose().to_owned());
        assert!(session.is_saved());
    }
    assert_eq!(tokens, ["at-1", "at-2", "at-2", "at-3", "at-3", "at-4"]);
    let presented = ["rt-1", "rt-2", "rt-3"].map(|it| Some(it.to_owned()));
    assert_eq!(refresher.presented(), presented);
    let stored = load(&store).grant.expect("a grant");
    assert_eq!(stored.grant.refresh_token().map(Secret::expose), Some("rt-4"));
    assert_eq!(stored.intent, None);
    let last = start(&refresher);
    last.logout_blocking().expect("a logout");
    assert_eq!(load(&store).grant, None);
}

// Rules F1, B14. A grant of nothing would have been stored, as what the next one calls damage.
#[test]
fn an_answer_of_which_nothing_can_be_used_leaves_the_store_as_it_was() {
    let (_directory, store) = store();
    let time = VirtualTime::at(Timestamp::from_secs(1_700_000_000));
    let asked = AtomicU32::new(0);
    let session = Session::builder(move |_: Request| {
        let token = if asked.fetch_add(1, Ordering::SeqCst) == 0 { "at\n1" } else { "at-2" };
        async move { Ok(Grant::of_access_token(token, Duration::from_secs(3600))) }
    });
    let session = session.clock(time.clone()).store(store.clone()).without_grant();
    let session = session.build().expect("nothing to check");
    let error = session.token_blocking().expect_err("it cannot be sent");
    assert!(!error.is_store(), "{error}");
    assert_eq!(load(&store), Versioned::EMPTY);
    time.advance(Duration::from_secs(3600));
    assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
}

// Rules F1, G2. Stores of other makers write the same.
#[test]
fn the_file_holds_what_the_stored_form_says_byte_for_byte() {
    let (_directory, store) = store();
    for grant in [Some(sample()), None] {
        let version = put(&store, grant.as_ref());
        let content = Versioned { version, grant };
        let text = content.to_json();
        assert_eq!(fs::read(store.path()).expect("the file"), text.expose().as_bytes());
        assert_eq!(Versioned::from_json(text.expose().as_bytes()).expect("ours"), content);
        assert!(!format!("{text:?}").contains("planted"));
    }
}

// Rule F5. Case X35.
#[test]
fn a_record_of_format_1_is_read_and_its_note_of_intent_has_no_deadline() {
    let (_directory, store) = store();
    let noted = |until| {
        let intent = Some(Intent { since: Timestamp::from_secs(1_700_000_100), until });
        StoredGrant { intent, ..sample() }
    };
    put(&store, Some(&noted(Some(Timestamp::from_secs(1_700_000_130)))));
    let written = fs::read_to_string(store.path()).expect("the file");
    let earlier = written
        .replace("\"format\":2", "\"format\":1")
        .replace(",\"intent_until\":1700000130000", "");
    assert!(earlier.len() < written.len() - 20, "{written}");
    fs::write(store.path(), earlier).expect("a file of format 1");
    assert_eq!(load(&store).grant, Some(noted(None)));
    // It is written in the present format.
    put(&store, Some(&noted(None)));
    let written = fs::read_to_string(store.path()).expect("the file");
    assert!(written.contains("\"format\":2") && written.contains("\"intent_until\":null"));
}

// Rules F5, G1.
#[test]
fn a_stored_form_that_is_none_is_damage_and_is_not_quoted() {
    for bytes in [&b""[..], b"hush", b"{\"format\":1,\"hush\":1}", b"\xff"] {
        let error = Versioned::from_json(bytes).expect_err("not ours");
        assert!(error.is_damaged() && !said(&error).contains("hush"), "{error:?}");
        assert!(
            error.to_string().starts_with("the stored grant cannot be understood: "),
            "{error}"
        );
    }
}
