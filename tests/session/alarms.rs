//! Timers that ring early, clocks that panic, and wakers that outlive what they were for.

use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, at_once, builder, first_grant, lapsed,
    lapsed_with_timer, session, standard, text, waiting, watched,
};
use perennial::clock::Timer;
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{BoxFuture, Refresh, RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

/// A timer that rings at once the first few times, and sleeps by virtual time from then on.
struct Hasty {
    time: VirtualTime,
    early: AtomicUsize,
}

impl Hasty {
    fn new(time: &VirtualTime, early: usize) -> Self {
        Self { time: time.clone(), early: AtomicUsize::new(early) }
    }
}

impl Timer for Hasty {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let early = |left: usize| left.checked_sub(1);
        match self.early.fetch_update(Ordering::SeqCst, Ordering::SeqCst, early) {
            Ok(_) => Box::pin(async {}),
            Err(_) => self.time.sleep(duration),
        }
    }
}

fn unavailable() -> Response {
    Response::Fail(RefreshError::unavailable("no connection"))
}

/// A session whose token has just lapsed, with a timer that rings early three times.
fn hasty(script: &Scripted) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    let timer = Hasty::new(&time, 3);
    let session = builder(script, &time).timer(timer).build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

// Rules B7, B13.
#[test]
fn a_timer_that_rings_early_ends_no_backoff() {
    let script = Scripted::new().then(unavailable());
    let (session, time) = hasty(&script);
    let mut caller = Hand::new(session.token().retry_for(HOUR));
    caller.pending();
    assert_eq!(script.requests(), 1);
    time.advance(HALF_A_SECOND);
    assert!(caller.woken() > 0);
    assert_eq!(text(caller.ready()), "at-3");
}

// Rules B7, B13.
#[test]
fn a_timer_that_rings_early_ends_no_backoff_of_a_thread() {
    let script = Scripted::new().then(unavailable());
    let (session, time) = hasty(&script);
    let other = session.clone();
    let thread = std::thread::spawn(move || watched(move || other.token().retry_for(HOUR).wait()));
    crate::session_support::until(|| time.next_alarm().is_some());
    assert_eq!(script.requests(), 1);
    time.advance(HALF_A_SECOND);
    assert_eq!(text(thread.join().expect("no panic")), "at-3");
}

// Rule B13.
#[test]
fn a_timer_that_rings_early_gives_up_no_refresh() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = hasty(&script);
    let mut caller = waiting(&session);
    time.advance(29 * SECOND);
    caller.pending();
    assert_eq!(caller.woken(), 0);
    time.advance(SECOND);
    assert_eq!(caller.woken(), 1, "it is set again");
    assert!(caller.ready().expect_err("no answer").is_unavailable());
}

// Rules A5, B13, C3. The machine's clock is set back while a timer that counts by itself is set.
#[test]
fn a_clock_that_goes_back_does_not_defer_the_deadline_of_a_refresh_by_as_much() {
    let script = Scripted::new().then(Response::Hang);
    let (time, elapsed) = (VirtualTime::at(START), VirtualTime::at(START));
    let session = builder(&script, &time).timer(elapsed.clone()).build().expect("sendable");
    time.advance(HOUR);
    let mut caller = waiting(&session);
    time.set(START);
    elapsed.advance(30 * SECOND);
    assert_eq!(caller.woken(), 1, "it rings by its own count");
    caller.pending();
    time.advance(30 * SECOND);
    elapsed.advance(30 * SECOND);
    assert_eq!(caller.woken(), 2, "one refresh's time, and no more");
    assert!(caller.ready().expect_err("no answer").is_unavailable());
}

// Rule B13.
#[test]
fn a_timer_that_rings_early_has_a_keeper_renew_nothing_early() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = session(&script, &time);
    let mut keeper = Hand::new(session.keep_fresh(Hasty::new(&time, 3)));
    keeper.pending();
    assert_eq!(script.requests(), 0);
    time.advance(DUE);
    assert!(keeper.woken() > 0);
    keeper.pending();
    assert_eq!(text(session.try_token()), "at-2");
}

// Rule B13.
#[test]
fn a_keeper_whose_token_is_replaced_by_a_shorter_lived_one_is_woken_earlier() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = session(&script, &time);
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    assert_eq!(time.next_alarm(), Some(START.saturating_add((55 * 60 * SECOND).into())));
    assert!(at_once(session.install(Grant::new("at-5", "rt-5", 80 * SECOND))).is_ok());
    keeper.pending();
    // Half its life is over before it is due.
    assert_eq!(time.next_alarm(), Some(START.saturating_add((40 * SECOND).into())));
    time.advance(40 * SECOND);
    keeper.pending();
    assert_eq!(text(session.try_token()), "at-2");
}

// Rule B13.
#[test]
fn a_timer_is_asked_once_for_one_instant_however_often_its_sleeper_is_polled() {
    let time = VirtualTime::at(START);
    let (asked, sleeping) = (Arc::new(AtomicUsize::new(0)), time.clone());
    let counter = Arc::clone(&asked);
    let timer = move |duration| {
        counter.fetch_add(1, Ordering::SeqCst);
        sleeping.sleep(duration)
    };
    let session = builder(&Scripted::new().then(unavailable()), &time).timer(timer).build();
    let session = session.expect("sendable");
    time.advance(HOUR);
    let mut caller = Hand::new(session.token().retry_for(HOUR));
    for _ in 0..5 {
        caller.pending();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

// Rules B7, C8.
#[test]
fn a_limit_that_ends_before_the_backoff_does_is_not_waited_for() {
    let script = Scripted::new().then(unavailable()).then(unavailable());
    let (session, time) = lapsed_with_timer(&script);
    for limit in [Duration::from_millis(499), HALF_A_SECOND] {
        let hasty = session.token().retry_for(HOUR).within(limit);
        assert!(at_once(hasty).expect_err("no connection").is_unavailable());
    }
    assert_eq!(script.requests(), 1);
    let limit = HALF_A_SECOND + Duration::from_millis(1);
    let mut caller = Hand::new(session.token().retry_for(HOUR).within(limit));
    caller.pending();
    time.advance(HALF_A_SECOND);
    // It has failed again, and the next backoff is longer than what is left.
    assert!(caller.ready().expect_err("no connection").is_unavailable());
    assert_eq!(script.requests(), 2);
}

// Rules B13, B14.
#[test]
fn a_late_answer_ends_the_wait_of_one_who_waits_through_backoff() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    let mut caller = Hand::new(session.token().retry_for(HOUR));
    caller.pending();
    time.advance(30 * SECOND);
    caller.pending(); // judged unknown
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rules B13, B14.
#[test]
fn a_late_answer_that_takes_another_poll_is_not_left_lying_by_one_who_waits_through_backoff() {
    let kept = Kept::default();
    let waker = Arc::clone(&kept);
    let refresher = move |_: Request| {
        let (waker, mut polls) = (Arc::clone(&waker), 0);
        poll_fn(move |cx| {
            polls += 1;
            match polls {
                // Silent until its deadline was judged; then it yields once.
                1..=3 => waker.lock().expect("no panic").push(cx.waker().clone()),
                4 => cx.waker().wake_by_ref(),
                _ => return Poll::Ready(Ok::<_, RefreshError>(Scripted::grant(1))),
            }
            Poll::Pending
        })
    };
    let time = VirtualTime::at(START);
    let builder = standard(Session::builder(refresher), &time).timer(time.clone());
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    let mut caller = Hand::new(session.token().retry_for(HOUR));
    caller.pending();
    time.advance(30 * SECOND);
    caller.pending(); // polled once more, and judged
    std::mem::take(&mut *kept.lock().expect("no panic")).into_iter().for_each(Waker::wake);
    let before = caller.woken();
    caller.pending();
    assert!(caller.woken() > before, "it has landed");
    assert_eq!(text(caller.ready()), "at-2");
}

// Rules B14, C6.
#[test]
fn an_orphan_that_lands_while_nobody_waits_is_offered_all_the_same() {
    let (script, time) = (Scripted::new().then(Response::Hang), VirtualTime::at(START));
    let offered = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&offered);
    let builder = builder(&script, &time).on_orphan(move |grant| {
        hears.lock().expect("no panic").push(grant);
    });
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    drop(waiting(&session));
    assert!(at_once(session.logout()).is_ok());
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(session.try_token().is_err());
    assert_eq!(*offered.lock().expect("no panic"), [Scripted::grant(1)]);
}

// Rules B9, B13.
#[test]
fn who_waits_for_a_longer_life_of_a_lapsed_token_waits_for_the_answer() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut caller = Hand::new(session.token_valid_for(HOUR / 2));
    caller.pending();
    caller.pending();
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
}

// Rules C1, B2.
#[test]
fn a_reader_that_nobody_else_helps_asks_once_its_token_is_due() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = session(&script, &time);
    let mut reader = session.reader();
    assert_eq!(reader.token().expect("fresh").expose(), "at-1");
    time.advance(DUE);
    assert_eq!(reader.token().expect("due, and it works").expose(), "at-1");
    time.advance(HOUR.saturating_sub(DUE));
    assert!(reader.token().expect_err("lapsed").is_not_ready());
}

type Kept = Arc<Mutex<Vec<Waker>>>;

/// Keeps the waker that it is polled with, and never ends.
fn keeping(kept: &Kept) -> impl Future<Output = ()> + Send + 'static + use<> {
    let kept = Arc::clone(kept);
    poll_fn(move |cx| {
        kept.lock().expect("no panic").push(cx.waker().clone());
        Poll::Pending
    })
}

// Rules C4, C9.
#[test]
fn wakers_that_outlive_their_session_wake_nobody() {
    let kept = Kept::default();
    let (answer, ring) = (Arc::clone(&kept), Arc::clone(&kept));
    let refresher = move |_: Request| {
        let never = keeping(&answer);
        async move {
            never.await;
            Err::<Grant, _>(RefreshError::unknown("never"))
        }
    };
    let time = VirtualTime::at(START);
    let builder = standard(Session::builder(refresher), &time);
    let session = builder.timer(move |_| keeping(&ring)).build().expect("sendable");
    time.advance(HOUR);
    let mut caller = waiting(&session);
    caller.pending();
    let wakes = Arc::clone(&caller.wakes);
    drop(caller);
    drop(session);
    let kept = std::mem::take(&mut *kept.lock().expect("no panic"));
    assert!(kept.len() >= 2, "of the answer, and of the alarm for its deadline");
    kept.into_iter().for_each(Waker::wake);
    assert_eq!(wakes.count(), 0);
}

/// A refresher that answers by script, and whose revocations are of the test's making.
struct Revoking<F>(Scripted, F);

impl<F, Fut> Refresh for Revoking<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        self.0.refresh(request)
    }

    fn revoke(&self, _: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.1()
    }
}

/// A session that revokes what landed after its logout, and has begun to.
fn revoking<F, Fut>(revoke: F) -> (Session, VirtualTime)
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (script, time) = (Scripted::new().then(Response::Hang), VirtualTime::at(START));
    let builder = standard(Session::builder_with(Revoking(script.clone(), revoke)), &time);
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    let mut caller = waiting(&session);
    assert!(at_once(session.logout()).is_ok());
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(caller.ready().is_err());
    drop(caller);
    (session, time)
}

// Rules B14, C4.
#[test]
fn a_revocation_that_takes_its_time_is_waited_for_until_its_deadline() {
    let kept = Kept::default();
    let (waits, done) = (Arc::clone(&kept), Arc::new(AtomicBool::new(false)));
    let is_done = Arc::clone(&done);
    let (session, _) = revoking(move || {
        let (waits, is_done) = (Arc::clone(&waits), Arc::clone(&is_done));
        poll_fn(move |cx| {
            waits.lock().expect("no panic").push(cx.waker().clone());
            if is_done.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    let mut close = Hand::new(session.close());
    close.pending();
    done.store(true, Ordering::SeqCst);
    std::mem::take(&mut *kept.lock().expect("no panic")).into_iter().for_each(Waker::wake);
    assert_eq!(close.woken(), 1);
    assert!(close.ready().is_ok());

    let (session, time) = revoking(pending);
    let mut close = Hand::new(session.close());
    close.pending();
    time.advance(30 * SECOND);
    assert!(close.ready().is_ok(), "no refresh is lost with it");
}

// Rules B14, C5.
#[test]
fn a_revocation_that_panics_harms_nobody() {
    let (session, _) = revoking(|| async { panic!("the revocation panics") });
    assert!(at_once(session.close()).is_ok());
    assert!(at_once(session.install(first_grant())).is_ok());
    assert_eq!(text(at_once(session.token())), "at-1");
}

// Rules C6, B14.
#[test]
fn a_refresher_that_asks_its_own_session_is_not_made_to_hear_an_older_answer() {
    let own: Arc<Mutex<Option<Session>>> = Arc::default();
    let kept = Kept::default();
    let (asked, waker) = (Arc::clone(&own), Arc::clone(&kept));
    let requests = AtomicUsize::new(0);
    let refresher = move |_: Request| {
        let first = requests.fetch_add(1, Ordering::SeqCst) == 0;
        let (asked, waker) = (Arc::clone(&asked), Arc::clone(&waker));
        async move {
            if first {
                // Silent until the next refresh asks for a token.
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    waker.lock().expect("no panic").push(cx.waker().clone());
                    if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                return Ok::<_, RefreshError>(Scripted::grant(1));
            }
            let wakers = std::mem::take(&mut *waker.lock().expect("no panic"));
            wakers.into_iter().for_each(Waker::wake);
            let session = asked.lock().expect("no panic").clone().expect("set");
            assert!(at_once(session.token()).expect_err("it asks itself").is_reentrant());
            Ok(Scripted::grant(2))
        }
    };
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let time = VirtualTime::at(START);
    let builder = standard(Session::builder(refresher), &time).policy(policy);
    let session = builder.build().expect("sendable");
    *own.lock().expect("no panic") = Some(session.clone());
    time.advance(HOUR);
    let mut first = waiting(&session);
    time.advance(30 * SECOND);
    assert!(first.ready().is_err());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    *own.lock().expect("no panic") = None;
}
