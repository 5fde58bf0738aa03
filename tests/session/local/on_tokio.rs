//! On tokio's current-thread runtime.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use perennial::adapters::tokio::Tokio;
use perennial::refresh::{LocalRefresh, PollIn, RefreshError, Request};
use perennial::session::LocalSession;
use perennial::testing::Scripted;
use perennial::token::Grant;

use super::support::{lapsed_of, waiting};
use crate::session_support::text;

/// Asks by tokio's means, from tasks of this thread alone.
struct ByTokio {
    asked: Rc<Cell<usize>>,
    home: PollIn,
}

impl LocalRefresh for ByTokio {
    fn refresh(&self, _: Request) -> impl Future<Output = Result<Grant, RefreshError>> + 'static {
        let asked = Rc::clone(&self.asked);
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            asked.set(asked.get() + 1);
            Ok(Scripted::grant(asked.get()))
        }
    }

    fn poll_in(&self) -> PollIn {
        self.home.clone()
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

// Rules B3, C2, C4.
#[test]
fn on_a_local_set_tasks_of_one_thread_share_a_refresh_that_a_task_drives() {
    let asked = Rc::new(Cell::new(0));
    let refresher = ByTokio { asked: Rc::clone(&asked), home: PollIn::Anywhere };
    let runtime = current_thread();
    let tokio = Tokio::new(runtime.handle().clone());
    let session = LocalSession::builder_with(refresher)
        .grant(Grant::of_refresh_token("rt-1"))
        .timer(tokio.clone())
        .spawner(|task| drop(tokio::task::spawn_local(task)))
        .build()
        .expect("sendable");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // The first caller goes away; its refresh goes on by itself.
        let changed = session.changed();
        drop(waiting(&session));
        changed.await;
        let token = session.try_token().expect("driven by a task");
        assert_eq!((token.expose(), asked.get()), ("at-2", 1));
        session.reject(&token);
        let callers: Vec<_> = (0..10)
            .map(|_| {
                let session = session.clone();
                tokio::task::spawn_local(async move { text(session.token().await) })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.expect("no panic"), "at-3");
        }
        assert_eq!(asked.get(), 2);
        session.close().await.expect("nothing is out");
    });
}

// Rule C2.
#[test]
fn a_local_refresher_with_a_home_is_polled_within_it() {
    let runtime = current_thread();
    let tokio = Tokio::new(runtime.handle().clone());
    let asked = Rc::new(Cell::new(0));
    let home = PollIn::Runtime(Arc::new(tokio));
    let refresher = ByTokio { asked: Rc::clone(&asked), home };
    let (session, _) = lapsed_of(LocalSession::builder_with(refresher));
    // Polled outside the runtime first, which then only has to keep time.
    let caller = waiting(&session);
    drop(caller);
    assert_eq!(text(runtime.block_on(session.token())), "at-2");
    assert_eq!(asked.get(), 1);
}
