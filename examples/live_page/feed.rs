//! What happened so far, for a page that comes later, and what happens, for those that are open.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use futures::stream;
use perennial::clock::{Clock, StandardClock};
use perennial::events::Event;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::facts::Facts;

/// How many events are kept, and for how many milliseconds.
const KEPT: usize = 4_000;
const KEPT_FOR: i64 = 180_000;

/// A message for pages: the name of a server-sent event, and its data.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) data: Arc<str>,
}

/// Takes the events of all sessions, and hands them on to any number of pages. It never waits for a page: one
/// that is too slow misses messages, and gets a snapshot in their place.
pub(crate) struct Feed {
    clock: StandardClock,
    kept: Mutex<Kept>,
    live: broadcast::Sender<Message>,
}

#[derive(Default)]
struct Kept {
    sessions: Vec<Session>,
    /// When each of the latest events was, and its message.
    events: VecDeque<(i64, Arc<str>)>,
    number: u64,
    outages: Value,
}

struct Session {
    id: String,
    client: &'static str,
    facts: Facts,
    answered: u64,
    failed: u64,
}

/// A session's place in the feed.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Place(usize);

impl Feed {
    /// A feed whose readers may be this many messages behind.
    pub(crate) fn new(behind: usize) -> Self {
        let (live, _) = broadcast::channel(behind);
        Self { clock: StandardClock::new(), kept: Mutex::default(), live }
    }

    /// Adds a session, which is shown from now on, also before its first event.
    pub(crate) fn add(&self, id: impl Into<String>, client: &'static str) -> Place {
        let mut kept = self.lock();
        let facts = Facts::default();
        kept.sessions.push(Session { id: id.into(), client, facts, answered: 0, failed: 0 });
        Place(kept.sessions.len() - 1)
    }

    /// Takes an event: for the hook of `on_event`.
    pub(crate) fn event(&self, place: Place, event: &Event) {
        let event = serde_json::to_value(event).expect("an event is a flat map");
        let at = event["at"].as_i64().unwrap_or_default();
        let mut kept = self.lock();
        kept.number += 1;
        let number = kept.number;
        let session = &mut kept.sessions[place.0];
        session.facts.apply(&event);
        let (id, facts) = (&session.id, session.facts.to_json());
        let message = json!({ "number": number, "session": id, "event": event, "facts": facts });
        let data: Arc<str> = message.to_string().into();
        kept.events.push_back((at, Arc::clone(&data)));
        let old = |kept: &Kept| kept.events.front().is_some_and(|it| it.0 < at - KEPT_FOR);
        while kept.events.len() > KEPT || old(&kept) {
            kept.events.pop_front();
        }
        // Under the lock, so that whoever gets a snapshot gets all that comes after it. It does not wait, and
        // fails only where nobody reads.
        let _ = self.live.send(Message { name: "happened", data });
    }

    /// Counts a request of a caller.
    pub(crate) fn request(&self, place: Place, answered: bool) {
        let session = &mut self.lock().sessions[place.0];
        *if answered { &mut session.answered } else { &mut session.failed } += 1;
    }

    /// Sends what has no event: the time, the counts of requests, and the outages.
    pub(crate) fn pulse(&self, outages: Value) {
        let now = self.now();
        let mut kept = self.lock();
        kept.outages = outages;
        let data = kept.pulse(&now).to_string().into();
        let _ = self.live.send(Message { name: "pulse", data });
    }

    /// Returns all that a page needs to begin with, and what comes after it.
    fn join(&self) -> (Message, broadcast::Receiver<Message>) {
        let now = self.now();
        let kept = self.lock();
        let data = kept.snapshot(&now).to_string().into();
        (Message { name: "snapshot", data }, self.live.subscribe())
    }

    /// A snapshot, and then each message. A reader that is too far behind gets another snapshot.
    pub(crate) fn read(self: Arc<Self>) -> impl Stream<Item = Message> + Send + 'static {
        stream::unfold((self, None), |(feed, live)| async move {
            if let Some(mut live) = live {
                match broadcast::Receiver::recv(&mut live).await {
                    Ok(message) => return Some((message, (feed, Some(live)))),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
            let (snapshot, live) = feed.join();
            Some((snapshot, (feed, Some(live))))
        })
    }

    fn now(&self) -> Value {
        json!(self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn pulse(&self, now: &Value) -> Value {
        let requests =
            self.sessions.iter().map(|it| (it.id.clone(), json!([it.answered, it.failed])));
        let requests: serde_json::Map<_, _> = requests.collect();
        json!({ "now": now, "requests": requests, "outages": self.outages })
    }

    fn snapshot(&self, now: &Value) -> Value {
        let mut snapshot = self.pulse(now);
        let session =
            |it: &Session| json!({ "id": it.id, "client": it.client, "facts": it.facts.to_json() });
        snapshot["sessions"] = self.sessions.iter().map(session).collect();
        let event = |(_, data): &(i64, Arc<str>)| serde_json::from_str::<Value>(data).ok();
        snapshot["events"] = self.events.iter().filter_map(event).collect();
        snapshot
    }
}
