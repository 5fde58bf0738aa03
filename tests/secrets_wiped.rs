//! No copy of a secret is freed with its bytes still in it, where the crate held it: an allocator looks
//! into each block that is freed for what was planted.
//!
//! What dependencies hold is told apart by being left out: no HTTP client runs here, the requests and
//! answers are taken where the crate hands them over, and answers with escapes, which `serde_json` and
//! `form_urlencoded` undo in buffers of their own, are in a test of their own, which names those. See
//! "Secrets in memory" in SECURITY.md.

mod session_support;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial::adapters::file::FileStore;
use perennial::adapters::jwt::{Jwt, SigningKey};
use perennial::adapters::keyring::{KeyringEntry, KeyringStore};
use perennial::adapters::sealed::{self, Sealed, SealingKey};
use perennial::issue::{AccessTokens as _, Claims, FamilyId, Identity, Keys, Opaque};
use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::store::{MemoryStore, Store as _, StoredGrant, Swap, Version, Versioned};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};
use perennial::wire::{Client, ClientAuthentication, ClientBuilder};
use scanning_allocator::{Hit, Scanning, freed_with};
use session_support::{HOUR, START, at_once, block_on};

#[global_allocator]
static ALLOCATOR: Scanning = Scanning;

const ACCESS: &str = "at-Q7pLz9WxV2aKm4Nc-Q7pLz9WxV2aKm4Nc-Q7pLz9WxV2aKm4Nc";
const OTHER: &str = "at-2-Q7pLz9WxV2aKm4Nc-Q7pLz9WxV2aKm4Nc-Q7pLz9WxV2aKm4Nc";
const REFRESH: &str = "rt-Jd83hSk2Lq0Yt6Ge-Jd83hSk2Lq0Yt6Ge-Jd83hSk2Lq0Yt6Ge";
const NEXT: &str = "rt-Nn51vBx7Ru4Ho9Pz-Nn51vBx7Ru4Ho9Pz-Nn51vBx7Ru4Ho9Pz";
const CLIENT: &str = "cs-Ze6wTf1Ij8Ob3Dy-Ze6wTf1Ij8Ob3Dy-Ze6wTf1Ij8Ob3Dy";
const ASSERTION: &str = "ca-Ua2gXr5Mc9Ek7Wi-Ua2gXr5Mc9Ek7Wi-Ua2gXr5Mc9Ek7Wi";
const ID: &str = "id-Pb4sHv0Fn6Qa1Ut-Pb4sHv0Fn6Qa1Ut-Pb4sHv0Fn6Qa1Ut";
const KEY: [u8; 32] = *b"\x01Ky8mGw3Rz5Lx7Vd\xFFTy8mGw3Rz5Lx7V\xFE";

/// Parts of all of them, so that half a copy is found as well; and as a `Basic` header has them.
const PLANTED: [(&str, &[u8]); 9] = [
    ("access token", b"Q7pLz9WxV2aKm4Nc"),
    ("refresh token", b"Jd83hSk2Lq0Yt6Ge"),
    ("next refresh token", b"Nn51vBx7Ru4Ho9Pz"),
    ("client secret", b"Ze6wTf1Ij8Ob3Dy"),
    ("client assertion", b"Ua2gXr5Mc9Ek7Wi"),
    ("id token", b"Pb4sHv0Fn6Qa1Ut"),
    ("key", b"Ky8mGw3Rz5Lx7Vd"),
    // Of a part of it.
    ("key in base64", b"OG1HdzNSejVMeDdW"),
    // Of `c:cs-Ze6wTf1Ij8Ob3Dy-…`.
    ("basic header", b"WmU2d1RmMUlqOE9iM0R5"),
];

/// One test at a time: each makes texts with secrets of its own, which are not the crate's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
fn wiped<T>(what: &str, work: impl FnOnce() -> T) {
    let hits = freed_with(&PLANTED, work);
    let told =
        hits.iter().map(|hit| format!("{} in {} bytes {}", hit.name, hit.size, hit.freed_by));
    let told: Vec<String> = told.collect();
    assert!(hits.is_empty(), "{what}: {} copies left:\n{}", hits.len(), told.join("\n"));
}

fn names(hits: &[Hit]) -> Vec<(&'static str, usize)> {
    hits.iter().map(|hit| (hit.name, hit.size)).collect()
}

// Rule G1. The allocator finds what it is meant to find: else the tests below show nothing.
#[test]
fn a_planted_copy_is_found_whether_dropped_grown_or_shrunk() {
    let _alone = alone();
    let dropped = freed_with(&PLANTED, || CLIENT.to_owned());
    assert_eq!(names(&dropped), [("client secret", CLIENT.len())]);
    let kept = std::cell::RefCell::new(Vec::new());
    let grown = freed_with(&PLANTED, || {
        let mut text = String::with_capacity(CLIENT.len());
        text.push_str(CLIENT);
        text.push('!');
        kept.borrow_mut().push(text);
    });
    assert_eq!(names(&grown), [("client secret", CLIENT.len())]);
    let shrunk = freed_with(&PLANTED, || {
        let mut text = String::with_capacity(200);
        text.push_str(CLIENT);
        kept.borrow_mut().push(text.into_boxed_str().into_string());
    });
    assert_eq!(names(&shrunk), [("client secret", 200)]);
    // By another thread, and in part.
    let elsewhere = freed_with(&PLANTED, || {
        let half = CLIENT.as_bytes()[..30].to_vec();
        std::thread::spawn(move || drop(half)).join().expect("no panic");
    });
    assert_eq!(names(&elsewhere), [("client secret", 30)]);
    let header = freed_with(&PLANTED, || {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("c:{CLIENT}"))
    });
    assert!(header.iter().any(|hit| hit.name == "basic header"), "{header:?}");
    wiped("a secret of the crate's", || Secret::from(CLIENT));
    wiped("nothing that was planted", || "harmless".to_owned());
}

// Rule G1.
#[test]
fn a_secret_made_of_a_text_with_room_to_spare_leaves_no_copy() {
    let _alone = alone();
    wiped("roomy", || {
        let mut text = String::with_capacity(500);
        text.push_str(CLIENT);
        let secret = Secret::from(text);
        assert_eq!(secret.expose(), CLIENT);
        (secret.clone(), secret)
    });
    wiped("by each way to make one", || {
        let mut text = String::with_capacity(500);
        text.push_str(CLIENT);
        let grant = Grant::new(ACCESS, REFRESH, HOUR).with_field("id_token", ID);
        (Secret::new(text), Secret::new(CLIENT), grant.clone(), format!("{grant:?}"), grant)
    });
}

fn client(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = Client::builder("https://auth.example.com/token", "c");
    let builder = builder.revocation_endpoint("https://auth.example.com/revoke");
    build(builder).build().expect("valid")
}

// Rule G1. What each adapter sends is this form.
#[test]
fn a_request_leaves_no_copy_of_its_credentials_however_they_are_sent() {
    let _alone = alone();
    let ways: [fn(ClientBuilder) -> ClientBuilder; 5] = [
        |builder| builder.client_secret(CLIENT),
        |builder| builder.client_secret(CLIENT).client_authentication(ClientAuthentication::Post),
        |builder| builder,
        |builder| {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            builder.field("client_assertion_type", kind).field("client_assertion", ASSERTION)
        },
        |builder| {
            let mut roomy = String::with_capacity(300);
            roomy.push_str(CLIENT);
            let builder = (0..20).fold(builder.client_secret(roomy), |builder, number| {
                builder.resource(format!("https://{number}.example.com/with some space"))
            });
            drop(format!("{builder:?}"));
            builder.clone()
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        wiped(&format!("way {number}"), || {
            let client = client(way);
            let refresh_token = Secret::from(REFRESH);
            let form = client.refresh(&refresh_token);
            assert!(form.body().contains(REFRESH));
            let shown = format!("{form:?} {client:?}");
            let own = client.client_credentials();
            let revocation = client.revocation(&refresh_token).expect("an endpoint");
            assert!(revocation.body().contains(REFRESH) && form.headers().count() >= 2);
            drop((form, own, revocation));
            (client.clone(), shown)
        });
    }
}

fn answer_of(parts: &[&str]) -> String {
    parts.concat()
}

// Rule G1. As they are read: as they should be, renamed, wrapped, framed, with another charset, as a form.
#[test]
fn an_answer_leaves_no_copy_of_its_tokens_however_it_is_written() {
    let _alone = alone();
    let plain = answer_of(&[
        r#"{"access_token":""#,
        ACCESS,
        r#"","token_type":"Bearer","expires_in":3600,"refresh_token":""#,
        NEXT,
        r#"","id_token":""#,
        ID,
        r#""}"#,
    ]);
    let camel =
        plain.replace("access_token", "accessToken").replace("refresh_token", "refreshToken");
    let twice = format!("{plain:?}");
    let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: Vec<(&str, Vec<u8>, usize)> = vec![
        ("plain", plain.clone().into_bytes(), 200),
        ("of an error status", plain.clone().into_bytes(), 500),
        ("a byte order mark", format!("\u{feff}{plain}").into_bytes(), 200),
        ("framed", format!("<br />Notice {plain} bye").into_bytes(), 200),
        ("wrapped", format!(r#"{{"data":{plain}}}"#).into_bytes(), 200),
        ("renamed", camel.into_bytes(), 200),
        ("cut short", plain.as_bytes()[..plain.len() - 20].to_vec(), 200),
        ("a form", format!(
            "access_token={ACCESS}&refresh_token={NEXT}&expires_in=60&id_token={ID}"
        ).into_bytes(), 200),
        ("a form in HTML", format!(
            "access_token={ACCESS}&amp;refresh_token={NEXT}&amp;expires_in=60"
        ).into_bytes(), 200),
        ("an older form", format!("access_token={ACCESS};refresh_token={NEXT}").into_bytes(), 200),
        ("shaped and padded", format!(
            r#"{{"access_token":["  Bearer {ACCESS} "],"refresh_token":" {NEXT}"}}"#
        ).into_bytes(), 200),
        ("with bytes of no charset", [plain.as_bytes(), b" \xff"].concat(), 200),
        ("two that differ", format!("{plain} {}", plain.replace("3600", "60")).into_bytes(), 200),
        ("of type DPoP", plain.replace("Bearer", "DPoP").into_bytes(), 200),
        ("a refusal with an echo", format!(
            r#"{{"error":"invalid_grant","refresh_token":"{REFRESH}","access_token":"{ACCESS}"}}"#
        ).into_bytes(), 400),
        ("made JSON twice", twice.into_bytes(), 200),
        ("wide", wide, 200),
    ];
    let dialects = ["plain", "dingtalk"];
    for (what, body, status) in &bodies {
        for dialect in dialects {
            let status = u16::try_from(*status).expect("a status");
            let may_undo = *what == "made JSON twice";
            let work = || {
                let client = client(|builder| {
                    let builder = builder.client_secret(CLIENT);
                    if dialect == "dingtalk" {
                        builder.provider(&perennial::provider::DINGTALK)
                    } else {
                        builder
                    }
                });
                let presented = Secret::from(REFRESH);
                let form = client.refresh(&presented);
                let read =
                    form.read_response(status, [("content-type", &b"application/json"[..])], body);
                let shown = format!("{read:?}");
                (read, shown)
            };
            if may_undo {
                // The escapes are undone in a buffer of `serde_json`'s.
                let hits = freed_with(&PLANTED, work);
                assert!(hits.iter().all(|hit| hit.size <= 2 * body.len()), "{hits:?}");
            } else {
                wiped(&format!("{what} to {dialect}"), work);
            }
        }
    }
}

// Rules G1, G2.
#[test]
fn a_stored_form_leaves_no_copy_whether_it_is_written_or_read() {
    let _alone = alone();
    let grant = || {
        let grant = Grant::new(ACCESS, REFRESH, HOUR).with_field("id_token", ID);
        Some(StoredGrant::new(grant, START))
    };
    wiped("as JSON", || {
        let content = Versioned { version: Version::new(7), grant: grant() };
        let text = content.to_json();
        let read = Versioned::from_json(text.expose().as_bytes()).expect("ours");
        assert_eq!(read, content);
        let broken = Versioned::from_json(&text.expose().as_bytes()[..150]);
        (format!("{broken:?}"), broken.expect_err("cut short"), read)
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("grant.json");
    wiped("in a file", || {
        let store = FileStore::open(&path).expect("a store");
        let swapped = block_on(store.swap(Version::EMPTY, grant())).expect("written");
        assert_eq!(swapped, Swap::Done(Version::new(1)));
        let read = block_on(store.load()).expect("read");
        let conflict = block_on(store.swap(Version::EMPTY, grant())).expect("an answer");
        let left = store.swap(Version::new(1), grant());
        drop(left);
        (read, conflict)
    });
    // Damaged, with the tokens in it, and kept beside a login.
    let whole = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &whole[..whole.len() - 3]).expect("damaged");
    wiped("damaged", || {
        let store = FileStore::open(&path).expect("a store");
        let error = block_on(store.load()).expect_err("damaged");
        let swapped = block_on(store.replace_damaged(grant())).expect("written");
        (error, swapped)
    });
}

// Rules G1, G2. Sealed and opened: neither the grant nor the key stays, wherever the key comes from.
#[test]
fn a_sealed_record_leaves_no_copy_of_the_grant_or_the_key() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a directory");
    let (path, lock) = (folder.path().join("key"), folder.path().join("lock"));
    let text = SealingKey::new(KEY).to_base64();
    wiped("a key, by each way to make one", || {
        let key = SealingKey::from_base64(text.expose()).expect("a key");
        let _ = SealingKey::from_base64(&text.expose()[..40]).expect_err("too short");
        let keys = sealed::Keys::new(SealingKey::new(KEY)).and_older(key.clone());
        (key.to_base64(), format!("{keys:?}"), key)
    });
    wiped("a key in a file", || {
        SealingKey::from_file_or_create(&path).expect("created");
        let mut file = std::fs::File::options().write(true).open(&path).expect("a file");
        std::io::Write::write_all(&mut file, text.expose().as_bytes()).expect("written");
        let key = SealingKey::from_file_or_create(&path).expect("read");
        assert_eq!(key.id(), SealingKey::new(KEY).id());
    });
    let keyring: Arc<keyring_core::CredentialStore> =
        keyring_core::mock::Store::new().expect("a keyring");
    wiped("a key in a keyring", || {
        let entry = KeyringEntry::open_in(&keyring, "s", "key", &lock).expect("an entry");
        let made = entry.secret_or_create(text.clone()).expect("made");
        let read = entry.secret_or_create(text.clone()).expect("read");
        (SealingKey::from_base64(read.expose()).expect("a key"), made)
    });
    let grant = || {
        let grant = Grant::new(ACCESS, REFRESH, HOUR).with_field("id_token", ID);
        StoredGrant::new(grant, START)
    };
    wiped("sealed and opened", || {
        let keys = sealed::Keys::new(SealingKey::new(KEY));
        let store = Sealed::new(MemoryStore::new(), &keys, "alice");
        at_once(store.swap(Version::EMPTY, Some(grant()))).expect("stored");
        let loaded = at_once(store.load()).expect("opened");
        let other = Sealed::new(MemoryStore::new(), &keys, "bob");
        (loaded, at_once(other.load()).expect("empty"), store)
    });
    wiped("a grant in a keyring", || {
        let entry = KeyringEntry::open_in(&keyring, "s", "grant", &lock).expect("an entry");
        let store = KeyringStore::new(entry);
        futures::executor::block_on(store.swap(Version::EMPTY, Some(grant()))).expect("stored");
        futures::executor::block_on(store.load()).expect("read")
    });
}

// Rule G1. A session's whole life: a login, a rejection, a refresh, packed and taken up, a logout.
#[test]
fn a_session_leaves_no_copy_of_what_it_handed_out_or_held() {
    let _alone = alone();
    wiped("a session", || {
        let time = VirtualTime::at(START);
        let store = MemoryStore::new();
        let session = Session::builder(|request: Request| {
            let shown = format!("{request:?}");
            async move {
                drop(shown);
                Ok::<_, RefreshError>(Grant::new(OTHER, NEXT, HOUR).with_field("id_token", ID))
            }
        });
        let session = session.clock(time.clone()).store(store.clone()).build().expect("valid");
        at_once(session.install(Grant::new(ACCESS, REFRESH, HOUR))).expect("stored");
        let token = at_once(session.token()).expect("a token");
        assert_eq!(token.header_value().as_bytes().len(), "Bearer ".len() + ACCESS.len());
        let header = token.header_value().clone();
        session.reject(&token);
        time.advance(2 * HOUR);
        let next = at_once(session.token()).expect("a token");
        let reader = session.reader();
        let grant = session.grant();
        at_once(session.logout()).expect("stored");
        (header, token, next, reader, grant, format!("{session:?}"), store)
    });
    wiped("keyed", || {
        let time = VirtualTime::at(START);
        let sessions = Sessions::builder(|_: &u64, _: Request| async {
            Ok::<_, RefreshError>(Grant::new(OTHER, NEXT, HOUR))
        });
        let sessions = sessions.clock(time.clone()).build();
        for key in 0..200 {
            let grant = Grant::new(ACCESS, REFRESH, HOUR);
            let grant = if key % 2 == 0 { grant } else { grant.with_field("id_token", ID) };
            sessions.install_blocking(&key, grant).expect("sendable");
        }
        time.advance(HOUR);
        for key in 0..200 {
            assert!(sessions.token_blocking(&key).is_ok());
            sessions.sweep();
        }
        at_once(sessions.logout(&3)).expect("no store");
        sessions
    });
}

fn claims() -> (Claims, Identity) {
    let at = Timestamp::from_secs(1_700_000_000);
    let claims = Claims {
        family: FamilyId::parse("00112233445566778899aabbccddeeff").expect("an id"),
        number: 1,
        issued_at: at,
        expires_at: at,
        id: 5,
    };
    (claims, Identity::new("s", "c"))
}

// Rule G1. What it is signed or sealed with.
#[test]
fn an_issuers_keys_leave_no_copy() {
    let _alone = alone();
    wiped("of an opaque token's", || {
        let keys = Keys::new(KEY).expect("32 bytes").and_older(KEY).expect("32 bytes");
        let (claims, identity) = claims();
        let tokens = Opaque::new(keys.clone());
        let token = tokens.mint(&claims, &identity).expect("short");
        assert!(tokens.verify(token.expose()).is_ok());
        (keys, format!("{tokens:?}"), token)
    });
    for ed25519 in [true, false] {
        wiped(if ed25519 { "EdDSA" } else { "HS256" }, || {
            let key = || {
                if ed25519 {
                    SigningKey::ed25519(KEY)
                } else {
                    SigningKey::hs256(KEY).expect("32 bytes")
                }
            };
            let (claims, identity) = claims();
            let mut tokens = Jwt::new("https://i", "https://a", key());
            for _ in 0..5 {
                tokens = tokens.and_older(key());
            }
            let token = tokens.mint(&claims, &identity).expect("signed");
            assert!(tokens.verify(token.expose()).is_ok());
            (tokens.clone(), format!("{tokens:?}"), tokens.jwks(), token, Duration::ZERO)
        });
    }
}
