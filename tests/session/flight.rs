//! One flight for all callers, whoever drives it, drops it or lets it lie.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};

use crate::session_support::{
    HOUR, Hand, SECOND, START, WAITING, at_once, lapsed, standard, text, waiting, watched,
};
use perennial::lifecycle::{Policy, Reuse, State};
use perennial::refresh::{PollIn, Refresh, RefreshError, Request, Runtime};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

// Rules B3, C2.
#[test]
fn any_number_of_callers_make_one_request() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut callers: Vec<_> = (0..50).map(|_| waiting(&session)).collect();
    assert_eq!(session.state(), WAITING);
    script.release(Response::Grant(Scripted::grant(1)));
    for caller in &mut callers {
        assert_eq!(text(caller.ready()), "at-2");
    }
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
}

// Rules C3, C4. A cancelled caller drops a rotated token: ktor#5193, teamclaude-rs#325; a
// cancelled leader hangs the readers: milvus talon#162.
#[test]
fn dropping_any_callers_at_any_moment_neither_cancels_nor_repeats_the_refresh() {
    // Each of three callers is dropped at one of four moments: unpolled, waiting, after the
    // answer has come, or not at all.
    for plan in 0..4_usize.pow(3) {
        let moments = [plan % 4, plan / 4 % 4, plan / 16 % 4];
        let script = Scripted::new().then(Response::Hang);
        let (session, _) = lapsed(&script);
        let mut callers: Vec<_> =
            moments.into_iter().map(|moment| Some((moment, Hand::new(session.token())))).collect();
        let drop_at = |moment: usize, callers: &mut Vec<Option<(usize, Hand<_>)>>| {
            for caller in callers.iter_mut() {
                let _dropped = caller.take_if(|(at, _)| *at == moment);
            }
        };
        drop_at(0, &mut callers);
        callers.iter_mut().flatten().for_each(|(_, caller)| caller.pending());
        drop_at(1, &mut callers);
        script.release(Response::Grant(Scripted::grant(1)));
        drop_at(2, &mut callers);
        for (_, mut caller) in callers.into_iter().flatten() {
            assert!(caller.woken() > 0 || session.state() == State::Valid, "{moments:?}");
            assert_eq!(text(caller.ready()), "at-2", "{moments:?}");
        }
        assert_eq!(text(at_once(session.token())), "at-2", "{moments:?}");
        assert_eq!((script.requests(), script.dropped()), (1, 0), "{moments:?}");
    }
}

// Rules C3, C4.
#[test]
fn a_driver_that_is_no_longer_polled_blocks_nobody() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let mut deputy = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!((driver.woken(), deputy.woken()), (1, 1));
    assert_eq!(text(deputy.ready()), "at-2");
    drop(driver);
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules C3, C4.
#[test]
fn a_driver_that_is_no_longer_polled_blocks_nobody_though_another_has_left() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let mut deputy = waiting(&session);
    drop(waiting(&session));
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!((driver.woken(), deputy.woken()), (1, 1));
    assert_eq!(text(deputy.ready()), "at-2");
}

// Rule C4.
#[test]
fn whoever_is_polled_while_the_flight_is_woken_takes_over() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let _stuck = [waiting(&session), waiting(&session)];
    let mut last = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(last.ready()), "at-2");
}

// Rules C3, C4.
#[test]
fn a_deputy_that_goes_away_hands_over_what_it_was_woken_for() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let deputy = waiting(&session);
    let mut third = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(third.woken(), 0);
    drop(deputy);
    drop(driver);
    assert!(third.woken() > 0, "nobody was left who knew");
    assert_eq!(text(third.ready()), "at-2");
}

// Rules C2, C3.
#[test]
fn a_landing_wakes_everybody_who_waits() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut callers: Vec<_> = (0..10).map(|_| waiting(&session)).collect();
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(callers[7].ready()), "at-2");
    for (index, caller) in callers.iter().enumerate() {
        assert!(index == 7 || caller.woken() > 0, "caller {index} was not told");
    }
}

// Rule C3.
#[test]
fn a_refresher_that_wakes_within_its_own_poll_is_polled_again() {
    let time = VirtualTime::at(START);
    let session = Session::builder(|_: Request| {
        let mut left = 3;
        poll_fn(move |cx| {
            if left == 0 {
                return Poll::Ready(Ok(Scripted::grant(1)));
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    });
    let session = standard(session, &time).build().expect("sendable");
    time.advance(HOUR);
    let mut caller = Hand::new(session.token());
    for polls in 0..3 {
        caller.pending();
        assert!(caller.woken() > polls, "the wake-up of poll {polls} was lost");
    }
    assert_eq!(text(caller.ready()), "at-2");
}

/// A waker that panics when called.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

// Rule C3.
#[test]
fn a_panicking_waker_does_not_stop_the_others() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let bad = Waker::from(Arc::new(Panicking));
    let mut callers: Vec<_> = (0..6).map(|_| Hand::new(session.token())).collect();
    for (index, caller) in callers.iter_mut().enumerate() {
        let polled = if index % 2 == 0 { caller.poll_with(&bad) } else { caller.poll() };
        assert!(polled.is_pending());
    }
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(callers[1].ready()), "at-2");
    assert!(callers[3].woken() > 0 && callers[5].woken() > 0);
    assert_eq!(text(callers[0].ready()), "at-2");
}

/// A waker that panics when its last copy goes.
struct PanickingDrop(Arc<AtomicUsize>);

impl Wake for PanickingDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanickingDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a waker's drop panics");
    }
}

// Rules C3, C4.
#[test]
fn a_waker_whose_drop_panics_keeps_nobody_from_being_told() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let _woken = [waiting(&session), waiting(&session)];
    let panics = Arc::new(AtomicUsize::new(0));
    let waker = Waker::from(Arc::new(PanickingDrop(Arc::clone(&panics))));
    let mut bad = Hand::new(session.token());
    assert!(bad.poll_with(&waker).is_pending());
    drop(waker);
    let mut last = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!((last.woken(), panics.load(Ordering::SeqCst)), (0, 0));
    // The session holds the last copy of the bad waker, and drops it as its caller leaves.
    drop(bad);
    assert_eq!((last.woken(), panics.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(text(last.ready()), "at-2");
}

/// A session that may try again after an unknown outcome, with a lapsed token.
fn unrotated(builder: perennial::session::Builder) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let session = standard(builder, &time).policy(policy).build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

// Rules B6, C5. A refresh callback throws and the next refresh waits for ever: ktor#3599; a
// completion that is never set: azure-sdk-for-net#45351.
#[test]
fn a_panicking_refresher_harms_only_its_own_flight() {
    let script = Scripted::new().then(Response::Panic);
    let (session, time) = unrotated(Session::builder_with(script.clone()));
    let error = at_once(session.token()).expect_err("it panicked");
    assert!(error.is_unavailable() && !error.is_login_required());
    assert_eq!(error.to_string(), "the refresh was sent, but its outcome is unknown");
    let why = std::error::Error::source(&error).expect("it says why").to_string();
    assert_eq!(why, "the refresher panicked");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule C5.
#[test]
fn a_refresher_that_panics_before_it_makes_a_future_harms_only_its_own_flight() {
    let calls = AtomicUsize::new(0);
    let builder = Session::builder(move |_: Request| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "the first call panics");
        async { Ok(Scripted::grant(1)) }
    });
    let (session, time) = unrotated(builder);
    assert!(at_once(session.token()).expect_err("it panicked").is_unavailable());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

// Rules B14, C5.
#[test]
fn a_refresh_whose_destructor_panics_loses_no_answer_that_has_come() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let (session, _) = unrotated(Session::builder(move |_: Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let bomb = PanicsOnDrop;
        poll_fn(move |_| {
            let _armed = &bomb;
            Poll::Ready(Ok(Scripted::grant(1)))
        })
    }));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((session.state(), calls.load(Ordering::SeqCst)), (State::Valid, 1));
}

thread_local! {
    static ENTERED: AtomicBool = const { AtomicBool::new(false) };
}

struct Marked {
    panics_after: Arc<AtomicBool>,
}

impl Runtime for Marked {
    fn enter(&self, poll: &mut dyn FnMut()) {
        ENTERED.with(|entered| entered.store(true, Ordering::SeqCst));
        poll();
        ENTERED.with(|entered| entered.store(false, Ordering::SeqCst));
        assert!(!self.panics_after.load(Ordering::SeqCst), "the runtime panics");
    }
}

/// A refresher that must be polled within its runtime, as tokio's and reqwest's must.
struct Homely {
    script: Scripted,
    runtime: Arc<Marked>,
}

impl Homely {
    fn new(script: &Scripted) -> Self {
        let runtime = Arc::new(Marked { panics_after: Arc::default() });
        Self { script: script.clone(), runtime }
    }
}

fn assert_entered() {
    assert!(ENTERED.with(|entered| entered.load(Ordering::SeqCst)), "polled outside its home");
}

impl Refresh for Homely {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        assert_entered();
        let mut answer = Box::pin(self.script.refresh(request));
        poll_fn(move |cx| {
            assert_entered();
            answer.as_mut().poll(cx)
        })
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        assert_entered();
        let mut revocation = Box::pin(self.script.revoke(grant));
        poll_fn(move |cx| {
            assert_entered();
            revocation.as_mut().poll(cx)
        })
    }

    fn poll_in(&self) -> PollIn {
        PollIn::Runtime(Arc::clone(&self.runtime) as Arc<dyn Runtime>)
    }
}

// Rule C2.
#[test]
fn a_refresher_with_a_home_is_called_and_polled_nowhere_else() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, _) = unrotated(Session::builder_with(Homely::new(&script)));
    let mut caller = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    let token = caller.ready().expect("polled at home");
    session.reject(&token);
    // On a plain thread, and a revocation.
    let _second = waiting(&session);
    at_once(session.logout()).expect("no store");
    script.release(Response::Grant(Scripted::grant(2)));
    let closing = session.clone();
    watched(move || closing.close_blocking()).expect("all has landed");
    assert_eq!(script.revoked(), ["rt-3"]);
}

// Rules B14, C5.
#[test]
fn what_was_brought_is_not_lost_to_a_runtime_that_panics_afterwards() {
    let script = Scripted::new();
    let homely = Homely::new(&script);
    homely.runtime.panics_after.store(true, Ordering::SeqCst);
    let (session, _) = unrotated(Session::builder_with(homely));
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules B3, B14. Flights that were given up are listened to, but not without bound.
#[test]
fn hung_refreshes_do_not_pile_up() {
    let requests = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(());
    let (count, held) = (Arc::clone(&requests), Arc::clone(&alive));
    let (session, time) = unrotated(Session::builder(move |_: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let held = Arc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
            Ok(Scripted::grant(1))
        }
    }));
    for round in 1..=20 {
        let mut caller = waiting(&session);
        // The newest, and the four that were given up before it; and this test's own.
        assert_eq!(Arc::strong_count(&alive) - 2, round.min(5), "round {round}");
        time.advance(30 * SECOND);
        assert!(caller.ready().expect_err("it hangs").is_unavailable());
        time.advance(60 * SECOND);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 20);
}

// Rule B6. Nothing of it could be used, and whether it was granted is not known.
#[test]
fn an_answer_of_which_no_token_could_be_sent_is_none() {
    let session = Session::builder(|_| async { Ok(Grant::of_access_token("at\n2", HOUR)) });
    let session = session.without_grant().build().expect("sendable");
    let error = at_once(session.token()).expect_err("no token");
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!format!("{error:?}").contains("at\\n2"), "{error:?}");
}
