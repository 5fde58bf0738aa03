//! One session per key, very many of them.

#[path = "../session_support/mod.rs"]
mod session_support;

mod client;
mod fleet;
mod forgotten;
mod logins;
mod packing;
mod sessions;
mod wheel;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use perennial::keyed::{Builder, Sessions};
use perennial::refresh::{RefreshError, Request};
use perennial::testing::VirtualTime;
use perennial::token::{Grant, Secret};
use session_support::HOUR;

/// Which refresh tokens were presented, by key.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<BTreeMap<u64, Vec<String>>>>);

impl Server {
    /// Grants `at-{key}-{n}` for the `n`th refresh of a key.
    fn sessions(&self, time: &VirtualTime) -> Builder<u64> {
        let server = self.clone();
        Sessions::builder(move |key: &u64, request: Request| {
            let (key, presented) = (*key, request.refresh_token().map(Secret::expose));
            let mut asked = server.0.lock().expect("no panic");
            let asked = asked.entry(key).or_default();
            asked.push(presented.unwrap_or("none").to_owned());
            let granted = grant(key, asked.len() + 1);
            async move { Ok::<_, RefreshError>(granted) }
        })
        .clock(time.clone())
        .without_jitter()
        .random(|| 1 << 31)
    }

    fn presented(&self, key: u64) -> Vec<String> {
        self.0.lock().expect("no panic").get(&key).cloned().unwrap_or_default()
    }

    fn requests(&self) -> usize {
        self.0.lock().expect("no panic").values().map(Vec::len).sum()
    }
}

fn grant(key: u64, n: usize) -> Grant {
    Grant::new(format!("at-{key}-{n}"), format!("rt-{key}-{n}"), HOUR)
}
