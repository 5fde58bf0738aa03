//! What the server tells of what it does, over real HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::issue::{Keys, MemoryFamilies};
use perennial::rotation::{Policy, Reuse};
use serde_json::Value;

use crate::server::{CLIENT, Config, SERVICE, Server};

const SECRET: &str = "hush-hush-hush-hush";

/// A running server, the lines that it tells, and every secret that went over the wire.
struct Rig {
    url: String,
    http: reqwest::Client,
    lines: Arc<Mutex<Vec<String>>>,
    secrets: Vec<String>,
}

impl Rig {
    async fn start() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&lines);
        let config = Config {
            policy: Policy::new(Reuse::Strict),
            access_lifetime: Duration::from_secs(60),
            signing: None,
            service_secret: Some(SECRET.into()),
            families: MemoryFamilies::new(),
            keys: Keys::new([7; 32]).expect("it is long enough"),
            log: Some(Box::new(move |line| told.lock().expect("no panic").push(line.into()))),
            requests_a_second: 10_000,
            dev_login: true,
            origins: Vec::new(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::listen(address, config).await.expect("a port is free");
        let url = server.url.clone();
        tokio::spawn(server.serve(std::future::pending()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url, http, lines, secrets: vec![SECRET.into()] }
    }

    /// The refresh token in the answer, if one is.
    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Option<String> {
        let request = self.http.post(format!("{}{path}", self.url)).form(form);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        let token = |name: &str| answer[name].as_str().map(String::from);
        self.secrets.extend(["access_token", "refresh_token"].into_iter().filter_map(token));
        token("refresh_token")
    }

    async fn log_in(&mut self, subject: &str) -> String {
        let form = [("client_id", CLIENT), ("subject", subject), ("scope", "read")];
        self.post("/dev-login", &form).await.expect("a refresh token")
    }

    async fn refresh(&mut self, token: &str) -> Option<String> {
        let form =
            [("client_id", CLIENT), ("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post("/token", &form).await
    }

    async fn revoke(&mut self, token: &str) {
        self.post("/revoke", &[("client_id", CLIENT), ("token", token)]).await;
    }

    async fn act_for_itself(&mut self) {
        let form = [
            ("client_id", SERVICE),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
        ];
        self.post("/token", &form).await;
    }

    /// What it told, without the time and the names of the families.
    fn told(&self) -> Vec<String> {
        let lines = self.lines.lock().expect("no panic");
        let bare = lines.iter().map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
            let Some((before, family)) = rest.split_once(", family ") else { return rest.into() };
            let (name, after) = family.split_at(8);
            assert!(name.bytes().all(|it| it.is_ascii_hexdigit()), "{line}");
            format!("{before}{after}")
        });
        bare.collect()
    }
}

#[tokio::test]
async fn a_line_is_told_of_each_thing_that_is_issued_and_refused() {
    let mut rig = Rig::start().await;
    let first = rig.log_in("alice").await;
    let second = rig.refresh(&first).await.expect("it works");
    assert_eq!(rig.refresh(&first).await, None);
    assert_eq!(rig.refresh(&second).await, None);
    assert_eq!(rig.refresh("x").await, None);
    let other = rig.log_in("a\nforged: line").await;
    rig.revoke(&other).await;
    rig.act_for_itself().await;
    let expected = [
        "login: client web, subject alice, refresh token 1",
        "refresh: client web, refresh token 1, succeeded by 2",
        "reuse: client web, refresh token 1: the refresh token was used before, and its family was revoked for that",
        "refused: client web, refresh token 2: the refresh token does not work: Revoked",
        "refused: client web: not a refresh token of this issuer",
        "login: client web, subject a\\nforged: line, refresh token 1",
        "revoked: client web, refresh token 1",
        "client credentials: client service",
    ];
    assert_eq!(rig.told(), expected);
}

// Rule G1.
#[tokio::test]
async fn no_line_holds_a_token_or_a_secret_nor_half_of_one() {
    let mut rig = Rig::start().await;
    let first = rig.log_in("alice").await;
    let second = rig.refresh(&first).await.expect("it works");
    for token in [&first, &second, "prt1_made-up"] {
        assert_eq!(rig.refresh(token).await, None);
    }
    rig.secrets.push("made-up".into());
    let other = rig.log_in("bob").await;
    rig.revoke(&other).await;
    rig.act_for_itself().await;
    assert_eq!(rig.secrets.len(), 9, "{:?}", rig.secrets);
    let lines = rig.lines.lock().expect("no panic").join("\n");
    for secret in &rig.secrets {
        for half in [&secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
            // What each token begins with is none.
            let half = half.trim_start_matches("prt1_").trim_start_matches("pat1_");
            assert!(!lines.contains(half), "{half:?} is told:\n{lines}");
        }
    }
}
