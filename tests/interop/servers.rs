//! Starting the servers, and what they tell.

use std::fmt::Debug;
use std::process::Child;
use std::sync::{LazyLock, Mutex};
use std::thread;

use serde_json::Value;

use crate::start::{program, serving};

/// The servers that there are here; of those that cannot be had a line is printed that begins with
/// `SKIPPED`.
pub(crate) fn servers() -> &'static [Server] {
    static SERVERS: LazyLock<Vec<Server>> = LazyLock::new(|| {
        let names = ["oidc_provider", "oauth2_mock_server", "authlib_server"];
        let starts = names.map(|name| thread::spawn(move || Server::start(name)));
        starts.into_iter().filter_map(|start| start.join().expect("a server")).collect()
    });
    &SERVERS
}

/// A server that runs until the test program ends, which closes its standard input.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    seed_url: String,
    seeding: Mutex<()>,
    /// Its standard input stays open as long as this program runs.
    _until_closed: Child,
}

/// One login at one server, whose requests are counted by themselves.
pub(crate) struct Login(Value);

/// How the requests of one login were answered.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) token_requests: u64,
    pub(crate) token_refused: u64,
    pub(crate) api_401: u64,
    /// How many different access tokens the API refused.
    pub(crate) lapsed: u64,
}

impl Server {
    fn start(name: &'static str) -> Option<Self> {
        let (child, told) = serving(name, &mut program(name))?;
        Some(Self {
            name,
            seed_url: text(&told, "seed_url"),
            seeding: Mutex::default(),
            _until_closed: child,
        })
    }

    /// Logs somebody called `name` in, whose access tokens live for `seconds`.
    pub(crate) fn login(&self, name: &str, seconds: u64) -> Login {
        let _one_at_a_time = self.seeding.lock();
        let url = format!("{}?name={name}&ttl={seconds}", self.seed_url);
        Login(json(http().post(url).send()))
    }
}

impl Login {
    pub(crate) fn text(&self, key: &str) -> String {
        text(&self.0, key)
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = json(http().get(self.text("stats_url")).send());
        let number = |key| stats[key].as_u64().unwrap_or_else(|| panic!("no {key} in {stats}"));
        Stats {
            token_requests: number("token_requests"),
            token_refused: number("token_refused"),
            api_401: number("api_401"),
            lapsed: number("lapsed"),
        }
    }

    /// Presents `refresh_token` past any session, as a thief would; the status of the answer.
    pub(crate) fn steal(&self, refresh_token: &str) -> u16 {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let request = http().post(self.text("token_endpoint")).form(&form);
        let request = request.basic_auth(self.text("client_id"), Some(self.text("client_secret")));
        request.send().expect("an answer").status().as_u16()
    }
}

fn http() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().build().expect("a client")
}

fn json<E: Debug>(answer: Result<reqwest::blocking::Response, E>) -> Value {
    answer.expect("an answer").json().expect("JSON")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}
