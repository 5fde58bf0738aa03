//! A shared grant, the server that has issued the grant, and what programs say.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use perennial::store::{Store, StoredGrant, Swap, Versioned};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};
use tokio::runtime::Runtime;

use crate::authorization::{Config, Counters, Rotation, Running, Server};
use crate::child::Program;
use crate::shared::{Kind, Place, Shared};

/// How long a program may take before it counts as hung. Where a note of intent says 30 s, one that waits
/// for it is noticed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(10);

/// Of a refresh, where a lease goes on for twice as long after its holder has died.
const SHORT: Duration = Duration::from_millis(250);

pub(crate) struct World {
    pub(crate) kind: Kind,
    store: Shared,
    name: String,
    _place: Place,
    url: String,
    server: Running,
    runtime: Runtime,
}

impl World {
    /// A server whose access tokens live for an hour, and a file with the grant of a login there.
    pub(crate) fn new(rotation: Rotation) -> Self {
        Self::on(Kind::File, rotation).expect("there are files everywhere")
    }

    /// The same with a store of this kind; `None`, said aloud, where the program of its server is missing.
    pub(crate) fn on(kind: Kind, rotation: Rotation) -> Option<Self> {
        let runtime = Runtime::new().expect("a runtime");
        let mut config = Config::new(Duration::from_secs(3600));
        (config.rotation, config.overlap) = (rotation, Duration::from_secs(120));
        let server = Server::start(([127, 0, 0, 1], 0).into(), config);
        let server = runtime.block_on(server).expect("a port is free");
        let place = Place::new(kind, &runtime)?;
        let name = place.name();
        let store = Shared::open(&name, &runtime);
        let url = server.urls().token_endpoint.clone();
        let this = Self { kind, store, name, _place: place, url, server, runtime };
        this.log_in();
        Some(this)
    }

    /// Puts the grant of a login into the store; its access token has expired.
    pub(crate) fn log_in(&self) {
        let login = self.server.seed();
        let grant = Grant::new(login.access_token, login.refresh_token, login.expires_in);
        self.put(StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000)));
        self.expire();
    }

    /// A program. Where a dead one's lease goes on, that is short, and the program waits for its end.
    pub(crate) fn program(&self, reuse: &'static str) -> Program<'_> {
        let mut program = Program::new(&self.name, &self.url, reuse);
        if !self.kind.is_lock() {
            (program.deadline, program.patience) = (SHORT, WATCHDOG * 4 / 5);
        }
        program
    }

    pub(crate) fn content(&self) -> Versioned {
        block_on(self.store.load()).expect("a record that is whole")
    }

    /// Writes over whatever there is.
    fn put(&self, grant: StoredGrant) {
        let version = self.content().version;
        assert!(matches!(block_on(self.store.swap(version, Some(grant))), Ok(Swap::Done(_))));
    }

    /// The stored access token has expired, as far as anybody can read from the store.
    pub(crate) fn expire(&self) {
        let stored = self.content().grant.expect("a grant");
        self.put(StoredGrant { expires_at: Some(stored.acquired_at), intent: None, ..stored });
    }

    pub(crate) fn stats(&self) -> Counters {
        self.server.stats()
    }

    /// Whether the server accepts the access token.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        let api = &self.server.urls().api;
        let request = reqwest::Client::builder().no_proxy().build().expect("a client").get(api);
        let sent = self.runtime.block_on(request.bearer_auth(token).send());
        sent.expect("the server answers").status().is_success()
    }
}

pub(crate) fn refresh_token(content: &Versioned) -> Option<String> {
    let grant = content.grant.as_ref()?;
    grant.grant.refresh_token().map(Secret::expose).map(str::to_owned)
}

/// A program that runs, and what it says.
pub(crate) struct Watched {
    pub(crate) child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Watched {
    pub(crate) fn start(program: &Program<'_>) -> Self {
        let mut child = program.start();
        let stderr: ChildStderr = child.stderr.take().expect("what it says");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                let _ = sender.send(line.trim_end().to_owned());
                line.clear();
            }
            let _ = stderr.read_to_end(&mut Vec::new());
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits until it says a line that begins like this; `None` if it ends before.
    #[track_caller]
    pub(crate) fn says(&mut self, beginning: &str) -> Option<String> {
        loop {
            match self.lines.recv_timeout(WATCHDOG) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.starts_with(beginning) {
                        return Some(line);
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {:?}", self.said),
            }
        }
    }

    /// Waits for its end; gives the token that it got, or all that it has said.
    #[track_caller]
    pub(crate) fn token(self) -> Result<String, String> {
        self.line("token ")
    }

    /// Waits for its end; gives the rest of the line that begins like this, or all that it has said.
    #[track_caller]
    pub(crate) fn line(mut self, beginning: &str) -> Result<String, String> {
        let _ = self.says("nothing begins like this");
        self.child.wait().expect("it has ended");
        let line = self.said.iter().find_map(|line| line.strip_prefix(beginning));
        line.map(str::to_owned).ok_or_else(|| self.said.join("\n"))
    }

    /// Waits for its end; gives the steps that it has come to.
    #[track_caller]
    pub(crate) fn steps(mut self) -> Vec<String> {
        let _ = self.says("nothing begins like this");
        self.child.wait().expect("it has ended");
        self.said.iter().filter_map(|line| line.strip_prefix("at ")).map(str::to_owned).collect()
    }
}
