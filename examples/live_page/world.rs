//! Two authorization servers with an API each, and the sessions that refresh there.

use std::sync::Arc;
use std::time::Duration;

use perennial::adapters::metrics::record;
use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::events::Event;
use perennial::keyed::Sessions;
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::Refresh as _;
use perennial::session::Session;
use perennial::token::{Grant, Secret};
use perennial::wire;
use serde_json::{Value, json};

use crate::Error;
use crate::feed::{Feed, Place};
use crate::outage::{Order, Outage};
use crate::server::{Config, Faults, Rotation, Running, Server};

const OVERLAP: Duration = Duration::from_secs(60);
const ID: &str = "live-page";

pub(crate) struct World {
    pub(crate) feed: Arc<Feed>,
    pub(crate) clients: [Client; 2],
    pub(crate) members: Vec<Member>,
}

/// A client of an authorization server of its own.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) server: Running,
    pub(crate) outage: Arc<Outage>,
    refresh: RefreshGrant,
}

/// A session, and where its tokens come from and go to.
pub(crate) struct Member {
    pub(crate) session: Session,
    pub(crate) place: Place,
    /// The client's index.
    pub(crate) client: usize,
    /// Its grant at the server.
    pub(crate) family: u64,
}

impl World {
    /// Starts the servers, and logs in three sessions of `billing`, three of `mail`, and two users of `mail` in
    /// keyed sessions. Nothing is refreshed yet.
    pub(crate) async fn start(lifetime: Duration, secret: &Secret) -> Result<Self, Error> {
        let clients = [
            Client::start("billing", lifetime, Some(secret)).await?,
            Client::start("mail", lifetime, None).await?,
        ];
        let mut world = Self { feed: Arc::new(Feed::new(512)), clients, members: Vec::new() };
        let policy = policy(lifetime)?;
        for client in 0..world.clients.len() {
            for number in 1..=3 {
                world.join(client, number, policy)?;
            }
        }
        world.join_users(&["alice", "bob"], policy).await?;
        Ok(world)
    }

    fn join(&mut self, index: usize, number: u32, policy: Policy) -> Result<(), Error> {
        let client = &self.clients[index];
        let login = client.server.seed();
        let place = self.feed.add(format!("{}-{number}", client.name), client.name);
        let (feed, tokio) = (Arc::clone(&self.feed), Tokio::current()?);
        let session = Session::builder_with(client.refresh.clone())
            .name(client.name)
            // As a program starts that has stored only a refresh token.
            .grant(Grant::of_refresh_token(login.refresh_token))
            .policy(policy)
            .timer(tokio.clone())
            .spawner(tokio.spawner())
            .on_event(record)
            .on_event(move |event: &Event| feed.event(place, event))
            .build()?;
        self.members.push(Member { session, place, client: index, family: login.family });
        Ok(())
    }

    /// A session for each of the users, under their names.
    async fn join_users(&mut self, users: &[&'static str], policy: Policy) -> Result<(), Error> {
        let index = 1;
        let client = &self.clients[index];
        let places: Vec<_> = users
            .iter()
            .map(|user| (*user, self.feed.add(format!("user-{user}"), client.name)))
            .collect();
        let (refresh, feed) = (client.refresh.clone(), Arc::clone(&self.feed));
        let (tokio, known) = (Tokio::current()?, places.clone());
        let sessions = Sessions::<&'static str>::builder(move |_, request| {
            let refresh = refresh.clone();
            async move { refresh.refresh(request).await }
        })
        .name("users")
        .policy(policy)
        .timer(tokio.clone())
        .spawner(tokio.spawner())
        .on_event(|_, event| record(event))
        .on_event(move |user, event| {
            if let Some((_, place)) = known.iter().find(|(name, _)| name == user) {
                feed.event(*place, event);
            }
        })
        .build();
        for (user, place) in places {
            let login = client.server.seed();
            sessions.install(&user, Grant::of_refresh_token(login.refresh_token)).await?;
            let session = sessions.session(&user).ok_or("it was installed")?;
            self.members.push(Member { session, place, client: index, family: login.family });
        }
        Ok(())
    }

    /// Begins or ends an outage.
    ///
    /// # Errors
    /// If there is no such client.
    pub(crate) fn obey(&self, order: &Order) -> Result<(), String> {
        let named = |client: &&Client| order.client.as_ref().is_none_or(|name| name == client.name);
        let clients: Vec<_> = self.clients.iter().filter(named).collect();
        if clients.is_empty() {
            return Err("client: billing or mail".to_owned());
        }
        for client in clients {
            match order.outage {
                Some((kind, length)) => client.outage.begin(kind, length),
                None => client.outage.end(),
            }
        }
        self.feed.pulse(self.outages());
        Ok(())
    }

    /// The outages, by client.
    pub(crate) fn outages(&self) -> Value {
        let [billing, mail] = &self.clients;
        json!({ billing.name: billing.outage.to_json(), mail.name: mail.outage.to_json() })
    }
}

impl Client {
    async fn start(
        name: &'static str,
        lifetime: Duration,
        secret: Option<&Secret>,
    ) -> Result<Self, Error> {
        let outage = Arc::new(Outage::default());
        let mut config = Config::new(lifetime);
        ID.clone_into(&mut config.client_id);
        config.client_secret = secret.map(|secret| secret.expose().to_owned());
        config.rotation = Rotation::Idempotent;
        config.overlap = OVERLAP;
        let decides = Arc::clone(&outage);
        config.faults = Faults::new(move |_| decides.fault());
        let server = Server::start(([127, 0, 0, 1], 0).into(), config).await?;
        let client = wire::Client::builder(&server.urls().token_endpoint, ID);
        let client = match secret {
            Some(secret) => client.client_secret(secret.clone()),
            None => client,
        };
        let refresh = RefreshGrant::new(client.build()?)?;
        Ok(Self { name, server, outage, refresh })
    }
}

/// Refreshes half-way, so that tokens still work for a while where that fails, and tries again soon.
fn policy(lifetime: Duration) -> Result<Policy, Error> {
    Ok(Policy::builder()
        .refresh_window(lifetime / 2)
        .margin(lifetime / 20)
        .backoff(Duration::from_secs(1), Duration::from_secs(8))
        .refresh_deadline(Duration::from_secs(5))
        .reuse(Reuse::idempotent(OVERLAP))
        .build()?)
}
