//! Requests that no server ever saw, one after the other, and answers that come late: nobody is logged
//! out by a network (rule B6; cases X7, X51, X52).

use std::time::Duration;

use perennial::clock::Clock as _;
use perennial::lifecycle::{Reuse, State};
use perennial::testing::Fault;
use perennial::time::Span;

use super::authorization::Rotation;
use super::token_endpoint::{Holding, Scene, behaviours};
use crate::client::Adapter;
use crate::wire::soon;
use crate::world::{on_every_adapter, refusal};

const STRICT: (Rotation, Reuse) = (Rotation::Strict, Reuse::Strict);

/// What may happen to a request before the server sees anything of it.
fn before_the_server() -> [Fault; 4] {
    [Fault::ResetBefore, Fault::Respond(Vec::new()), Fault::html(), Fault::Swallow]
}

/// A caller whose refresh fails, once time has gone on to its deadline where nothing at all comes back.
async fn fails(scene: &Scene, fault: &Fault) {
    scene.proxy.next(fault.clone());
    let connections = scene.proxy.connections();
    // A refresh token in doubt, and then a backoff, may hold the refresh off.
    while scene.proxy.connections() == connections {
        let caller = scene.get();
        while scene.proxy.connections() == connections && !caller.is_finished() {
            tokio::task::yield_now().await;
        }
        if *fault == Fault::Swallow && !caller.is_finished() {
            scene.time.advance(Duration::from_secs(30));
        }
        let error = refusal(caller).await;
        assert!(!error.may_need_login(), "{fault:?}: {error:?}");
        let retry = error.when_to_retry().expect("an instant");
        let longest = scene.time.now().saturating_add(Span::from_secs(60));
        assert!(retry <= longest, "{fault:?}: held off until {retry:?}");
        scene.time.set(retry);
    }
}

// Rule B6. Cases X7, X51.
async fn ten_requests_in_a_row_that_no_server_saw_are_no_logout_under_any_policy(on: Adapter) {
    for behaviour in behaviours() {
        for fault in before_the_server() {
            for many in [2, 3, 10] {
                let scene = Scene::new(on, behaviour, Holding::RefreshToken).await;
                for _ in 0..many {
                    fails(&scene, &fault).await;
                }
                // Where a request is still open its late answer may be waited for once more.
                while let Err(error) = soon(scene.session.token()).await {
                    assert!(!error.may_need_login(), "{fault:?}: {error:?}");
                    scene.time.set(error.when_to_retry().expect("an instant"));
                }
                scene.has_survived().await;
            }
        }
    }
}

// Rules B6, B13. Case X52.
async fn an_answer_within_twice_the_deadline_is_used_though_the_old_token_has_lapsed(on: Adapter) {
    for run in 0..20 {
        let scene = Scene::new(on, STRICT, Holding::Token).await;
        let old = scene.login.access_token.clone();
        scene.time.advance(Duration::from_secs(3589));
        scene.proxy.next(Fault::Hold);
        assert_eq!(scene.works().await, old);
        while scene.proxy.forwarded() == 0 {
            tokio::task::yield_now().await;
        }
        // The deadline is thirty seconds, the old token lapses after one.
        scene.time.advance(Duration::from_millis(30_000 + run * 1450));
        let error = refusal(scene.get()).await;
        assert!(error.is_unavailable() || error.when_to_retry().is_some(), "{error:?}");
        let late = scene.session.changed();
        scene.proxy.release();
        soon(late).await;
        assert_ne!(scene.works().await, old);
        assert_eq!(scene.session.state(), State::Valid);
        assert_eq!(scene.proxy.connections(), 1, "asked twice");
        scene.has_survived().await;
    }
}

on_every_adapter!(
    ten_requests_in_a_row_that_no_server_saw_are_no_logout_under_any_policy,
    an_answer_within_twice_the_deadline_is_used_though_the_old_token_has_lapsed,
);
