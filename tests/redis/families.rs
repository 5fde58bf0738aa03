//! An authorization server's families on a real server.

use perennial::adapters::redis::RedisFamilies;
use perennial::issue::{FamilyId, FamilyRecord, FamilyStore, FamilySwap, OwnClaims};
use perennial::rotation::{Family, Row};
use perennial::time::{Span, Timestamp};
use redis::Value;

use crate::on_a_server;
use crate::server_support::START;
use crate::server_support::families::many_processes_rotate_each_token_once;

fn id(number: u8) -> FamilyId {
    FamilyId::from_bytes([number; FamilyId::BYTES])
}

fn record(forget_at: Option<Timestamp>) -> FamilyRecord {
    let family: Row = Family::new(START).to_row();
    FamilyRecord {
        client: "web".into(),
        subject: "alice".into(),
        scope: None,
        device: None,
        claims: OwnClaims::new(),
        family,
        forget_at,
    }
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_one_rotates_each_token() {
    on_a_server!(server);
    many_processes_rotate_each_token_once(|| RedisFamilies::new(&server.connection(), "auth"))
        .await;
}

#[tokio::test]
async fn all_keys_lie_on_one_node_and_last_an_hour_longer_than_they_must() {
    on_a_server!(server);
    let families = RedisFamilies::new(&server.connection(), "auth");
    let Value::Array(time) = server.command(&["TIME"]).await else { panic!("two numbers") };
    let Value::BulkString(seconds) = &time[0] else { panic!("a text") };
    let seconds: i64 = String::from_utf8_lossy(seconds).parse().expect("a number");
    let now = Timestamp::from_secs(seconds);
    families.insert(id(1), record(None)).await.expect("it is well");
    let Value::Array(keys) = server.command(&["KEYS", "*"]).await else { panic!("a list") };
    assert_eq!(keys.len(), 2);
    for key in &keys {
        let Value::BulkString(key) = key else { panic!("a text") };
        assert!(key.starts_with(b"{auth}:"), "{}", String::from_utf8_lossy(key));
    }
    let family = format!("{{auth}}:family:{}", id(1));
    let set = "{auth}:subject:alice";
    for key in [family.as_str(), set] {
        assert_eq!(server.command(&["PTTL", key]).await, Value::Int(-1), "{key} lasts for ever");
    }
    let later = now.saturating_add(Span::from_secs(1000));
    let version = families.find(id(1)).await.expect("it is well").expect("it is there").version;
    let swap = families.swap(id(1), version, record(None).family, Some(later)).await;
    assert_eq!(swap.expect("it is well"), FamilySwap::Done);
    for key in [family.as_str(), set] {
        let Value::Int(left) = server.command(&["PTTL", key]).await else { panic!("a number") };
        assert!((4_590_000..=4_601_000).contains(&left), "{key}: {left}");
    }
    // The set outlives the family that ends first.
    families.insert(id(2), record(Some(now))).await.expect("it is well");
    let Value::Int(left) = server.command(&["PTTL", set]).await else { panic!("a number") };
    assert!(left > 4_590_000, "{left}");
}

#[tokio::test]
async fn what_the_server_has_deleted_is_not_found_and_leaves_its_subject() {
    on_a_server!(server);
    let families = RedisFamilies::new(&server.connection(), "auth");
    families.insert(id(1), record(None)).await.expect("it is well");
    server.command(&["DEL", &format!("{{auth}}:family:{}", id(1))]).await;
    assert_eq!(families.find(id(1)).await.expect("it is well"), None);
    families.insert(id(2), record(None)).await.expect("it is well");
    let names = server.command(&["SMEMBERS", "{auth}:subject:alice"]).await;
    assert_eq!(names, Value::Array(vec![Value::BulkString(id(2).to_string().into())]));
    assert_eq!(families.revoke_subject("alice").await.expect("it is well"), 1);
    families.revoke(id(1)).await.expect("revoking what is gone is a no-op");
    assert_eq!(families.find(id(1)).await.expect("it is well"), None);
}

#[tokio::test]
async fn a_damaged_family_is_an_error_and_stays() {
    on_a_server!(server);
    let families = RedisFamilies::new(&server.connection(), "auth");
    families.insert(id(1), record(None)).await.expect("it is well");
    let key = format!("{{auth}}:family:{}", id(1));
    for field in ["newest", "tolerance", "revoked", "began", "client", "forget_at", "version"] {
        let before = server.command(&["HGET", &key, field]).await;
        let Value::BulkString(before) = before else { panic!("a text") };
        server.command(&["HSET", &key, field, "odd"]).await;
        let found = families.find(id(1)).await;
        assert_eq!(found.is_err_and(|error| error.is_damaged()), field != "client", "{field}");
        server.command(&["HSET", &key, field, &String::from_utf8_lossy(&before)]).await;
    }
    assert!(families.find(id(1)).await.expect("it is well").is_some());
}
