//! The authorization server with its misdeeds, and the sessions that live with it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::adapters::file::FileStore;
use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::{Policy, Reuse};
use perennial::session::Session;
use perennial::token::Grant;
use perennial::wire;
use tempfile::TempDir;

use crate::Arguments;
use crate::counting::Observed;
use crate::record::{Record, Story, Teller, lock};
use crate::server::{Config, Fault, Faults, Presentation, Rotation, Running, Server};

/// How long access tokens live here.
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(2);
/// How long callers wait through failures.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refresh may take before its outcome counts as unknown.
pub(crate) const REFRESH_DEADLINE: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) server: Running,
    pub(crate) members: Vec<Member>,
    /// Holds the grants that are kept in files.
    files: TempDir,
    record: Arc<Record>,
}

/// One grant and its session.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) family: u64,
    pub(crate) story: Arc<Story>,
    session: Mutex<Session>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Async,
    Threads,
    File,
}

impl Member {
    pub(crate) fn session(&self) -> Session {
        lock(&self.session).clone()
    }
}

impl World {
    pub(crate) async fn start(
        arguments: &Arguments,
        record: Arc<Record>,
    ) -> Result<Arc<Self>, Box<dyn Error>> {
        let mut config = Config::new(ACCESS_TTL);
        config.rotation = Rotation::Idempotent;
        config.overlap = OVERLAP;
        config.faults = faults(arguments.seed);
        let server = Server::start(([127, 0, 0, 1], 0).into(), config).await?;
        let mut world = Self { server, members: Vec::new(), files: tempfile::tempdir()?, record };
        let files = usize::try_from(arguments.file_sessions)?;
        let kinds = [
            (Kind::Async, "async", arguments.async_sessions),
            (Kind::Threads, "threads", arguments.thread_sessions),
            (Kind::File, "file", files),
        ];
        for (kind, name, count) in kinds {
            for number in 1..=count {
                world.join(kind, format!("{name} {number}"))?;
            }
        }
        Ok(Arc::new(world))
    }

    /// Logs a new member in, and gives it a session.
    fn join(&mut self, kind: Kind, name: String) -> Result<(), Box<dyn Error>> {
        let login = self.server.seed();
        let grant = Grant::new(login.access_token, login.refresh_token, login.expires_in);
        let story = Arc::new(Story::default());
        let session = self.session(kind, &name, &story, Some(grant))?;
        let family = login.family;
        self.members.push(Member { name, kind, family, story, session: Mutex::new(session) });
        Ok(())
    }

    /// A session, that starts from `grant` or from its file.
    fn session(
        &self,
        kind: Kind,
        name: &str,
        story: &Arc<Story>,
        grant: Option<Grant>,
    ) -> Result<Session, Box<dyn Error>> {
        let urls = self.server.urls();
        let client = wire::Client::builder(&urls.token_endpoint, "perennial-demo").build()?;
        let refresher = RefreshGrant::new(client)?;
        let teller = Teller { record: Arc::clone(&self.record), story: Arc::clone(story) };
        let policy = Policy::builder()
            .reuse(Reuse::idempotent(OVERLAP))
            .refresh_deadline(REFRESH_DEADLINE)
            .backoff(Duration::from_millis(100), Duration::from_secs(1))
            .build()?;
        let mut builder =
            Session::builder_with(Observed::new(refresher, Arc::new(teller))).policy(policy);
        if let Some(grant) = grant {
            builder = builder.grant(grant);
        }
        let tokio = Tokio::current()?;
        Ok(match kind {
            // Callers drive the refresh themselves.
            Kind::Threads => builder.build()?,
            Kind::Async => builder.timer(tokio.clone()).spawner(tokio.spawner()).build()?,
            Kind::File => builder.timer(tokio).store(FileStore::open(self.file(name))?).build()?,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(format!("{name}.json"))
    }

    /// Drops a member's session, as a program that ends, and starts another from its file.
    pub(crate) async fn restart(&self, member: &Member) -> Result<(), Box<dyn Error>> {
        member.session().close().await?;
        let session = self.session(member.kind, &member.name, &member.story, None)?;
        *lock(&member.session) = session;
        member.story.restarted(self.record.now());
        Ok(())
    }
}

/// One token request in seven meets a fault.
fn faults(seed: u64) -> Faults {
    let dice = Mutex::new(fastrand::Rng::with_seed(seed));
    Faults::new(move |_: &Presentation| match lock(&dice).u32(0..100) {
        0..6 => Fault::Unavailable { retry_after: None },
        6..12 => Fault::LoseResponse,
        12..14 => Fault::Hang(Duration::from_secs(3)),
        _ => Fault::None,
    })
}

/// Makes the access token that a member uses stop working, now and then. One that its client has
/// not seen yet is spared: its first use would be the replay, whose 401 the caller rightly gets.
pub(crate) async fn revoke_at_random(world: Arc<World>, seed: u64, record: Arc<Record>) {
    let mut dice = fastrand::Rng::with_seed(seed.wrapping_add(1));
    loop {
        tokio::time::sleep(Duration::from_millis(dice.u64(100..500))).await;
        if let Some(member) = dice.choice(&world.members) {
            if world.server.revoke_token_in_use(member.family) {
                member.story.revoked(record.now());
            }
        }
    }
}
