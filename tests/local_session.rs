//! The local session: the same flight for all callers of one thread, with a refresher that never
//! leaves it. Every refresher here makes futures that hold an `Rc`.

mod session_support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::{Policy, Reuse, State};
use perennial::refresh::{Home, LocalBoxFuture, LocalRefresh, RefreshError, Request};
use perennial::session::{LocalAcquire, LocalBuilder, LocalSession};
use perennial::testing::{Answer, Scripted, VirtualTime};
use perennial::token::Grant;
use session_support::{
    DUE, HOUR, Hand, SECOND, START, WAITING, at_once, block_on, first_grant, text,
};

/// The scripted refresher, with futures that cannot be sent.
struct Bound {
    script: Scripted,
    polls: Rc<Cell<usize>>,
}

impl Bound {
    fn new(script: &Scripted) -> Self {
        Self { script: script.clone(), polls: Rc::default() }
    }
}

impl LocalRefresh for Bound {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + 'static {
        let polls = Rc::clone(&self.polls);
        let mut answer = Box::pin(self.script.refresh(request));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            answer.as_mut().poll(cx)
        })
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + 'static {
        let polls = Rc::clone(&self.polls);
        let mut revocation = Box::pin(self.script.revoke(grant));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            revocation.as_mut().poll(cx)
        })
    }
}

/// The settings of all tests: virtual time, no jitter, backoff drawn at one half; and a server
/// that does not rotate, so that an unknown outcome may be tried again.
fn standard(builder: LocalBuilder, time: &VirtualTime) -> LocalBuilder {
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let builder = builder.clock(time.clone()).without_jitter().draws(|| 1 << 31);
    builder.policy(policy).grant(first_grant())
}

/// A session whose token has just lapsed: the next caller has to wait for a refresh.
fn lapsed_of(builder: LocalBuilder) -> (LocalSession, VirtualTime) {
    let time = VirtualTime::at(START);
    let session = standard(builder, &time).build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

fn lapsed(script: &Scripted) -> (LocalSession, VirtualTime) {
    lapsed_of(LocalSession::builder_with(Bound::new(script)))
}

/// A caller that has been polled once and waits.
#[track_caller]
fn waiting(session: &LocalSession) -> Hand<LocalAcquire<'_>> {
    let mut caller = Hand::new(session.token());
    caller.pending();
    caller
}

/// Tasks that a local session has spawned, to be polled by the test when it likes.
#[derive(Clone, Default)]
struct LocalTasks(Rc<RefCell<Vec<Hand<LocalBoxFuture<()>>>>>);

impl LocalTasks {
    fn spawner(&self) -> impl Fn(LocalBoxFuture<()>) + use<> {
        let tasks = Rc::clone(&self.0);
        move |task| tasks.borrow_mut().push(Hand::new(task))
    }

    fn run(&self) {
        let mut tasks = self.0.take();
        tasks.retain_mut(|task| task.poll().is_pending());
        self.0.borrow_mut().append(&mut tasks);
    }

    fn woken(&self) -> usize {
        self.0.borrow().iter().map(Hand::woken).sum()
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

// Rules B3, C2.
#[test]
fn any_number_of_callers_make_one_request() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _) = lapsed(&script);
    let mut callers: Vec<_> = (0..50).map(|_| waiting(&session)).collect();
    assert_eq!(session.state(), WAITING);
    script.release(Answer::Grant(Scripted::grant(1)));
    for caller in &mut callers {
        assert_eq!(text(caller.ready()), "at-2");
    }
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
}

// Rules C3, C4.
#[test]
fn dropping_any_callers_at_any_moment_neither_cancels_nor_repeats_the_refresh() {
    // Each of three callers is dropped at one of four moments: unpolled, waiting, after the
    // answer has come, or not at all.
    for plan in 0..4_usize.pow(3) {
        let moments = [plan % 4, plan / 4 % 4, plan / 16 % 4];
        let script = Scripted::new().then(Answer::Hang);
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
        script.release(Answer::Grant(Scripted::grant(1)));
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
fn a_driver_dropped_while_the_server_answers_leaves_the_answer_to_the_next() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let (deputy, mut third) = (waiting(&session), waiting(&session));
    script.release(Answer::Grant(Scripted::grant(1)));
    drop((deputy, driver));
    assert!(third.woken() > 0, "nobody was left who knew");
    assert_eq!(text(third.ready()), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules C3, C4.
#[test]
fn a_driver_that_is_no_longer_polled_blocks_nobody() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let mut deputy = waiting(&session);
    script.release(Answer::Grant(Scripted::grant(1)));
    assert_eq!((driver.woken(), deputy.woken()), (1, 1));
    assert_eq!(text(deputy.ready()), "at-2");
}

// Rules C2, C3. The answer is sent by another thread; the refresher itself never moves.
#[test]
fn a_wake_up_from_another_thread_arrives() {
    let (session, _) = lapsed_of(LocalSession::builder(|_: Request| {
        let home = thread::current().id();
        let (sender, receiver) = futures::channel::oneshot::channel();
        thread::spawn(move || sender.send(Scripted::grant(1)));
        let held = Rc::new(());
        async move {
            let grant = receiver.await.expect("sent");
            drop(held);
            assert_eq!(thread::current().id(), home);
            Ok(grant)
        }
    }));
    assert_eq!(text(block_on(session.token())), "at-2");
}

// Rules B7, C2.
#[test]
fn a_failure_is_told_to_all_who_wait() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _) = lapsed(&script);
    let mut callers = [waiting(&session), waiting(&session), waiting(&session)];
    script.release(Answer::Fail(RefreshError::unavailable("no connection")));
    for caller in &mut callers {
        assert!(caller.ready().expect_err("it failed").is_unavailable());
    }
    assert_eq!(script.requests(), 1);
}

// Rules B6, C5.
#[test]
fn a_panicking_refresher_harms_only_its_own_flight() {
    let script = Scripted::new().then(Answer::Panic);
    let (session, time) = lapsed(&script);
    let error = at_once(session.token()).expect_err("it panicked");
    assert!(error.is_unavailable() && !error.is_login_required());
    assert_eq!(error.to_string(), "the refresh was sent and no answer was understood");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule C5.
#[test]
fn a_refresher_that_panics_before_it_makes_a_future_harms_only_its_own_flight() {
    let calls = Rc::new(Cell::new(0));
    let (session, time) = lapsed_of(LocalSession::builder(move |_: Request| {
        calls.set(calls.get() + 1);
        assert!(calls.get() > 1, "the first call panics");
        async { Ok(Scripted::grant(1)) }
    }));
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

// Rule C5.
#[test]
fn a_refresh_whose_destructor_panics_harms_only_its_own_flight() {
    let calls = Rc::new(Cell::new(0));
    let (session, time) = lapsed_of(LocalSession::builder(move |_: Request| {
        calls.set(calls.get() + 1);
        let bomb = (calls.get() == 1).then(|| PanicsOnDrop);
        poll_fn(move |_| {
            let _armed = &bomb;
            Poll::Ready(Ok(Scripted::grant(1)))
        })
    }));
    assert!(at_once(session.token()).expect_err("it panicked").is_unavailable());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rule C6.
#[test]
fn a_refresher_that_asks_its_own_session_gets_an_error_at_once() {
    let own: Rc<RefCell<Option<LocalSession>>> = Rc::default();
    let told = Rc::new(RefCell::new(Vec::new()));
    let (asks, tells) = (Rc::clone(&own), Rc::clone(&told));
    let (session, _) = lapsed_of(LocalSession::builder(move |_: Request| {
        let session = asks.borrow().clone().expect("given below");
        // Both in making the future and in its polls, and whatever it is asked.
        tells.borrow_mut().push(at_once(session.token()));
        let tells = Rc::clone(&tells);
        async move {
            let answer = session.token().await;
            tells.borrow_mut().push(answer);
            tells.borrow_mut().push(session.try_token());
            assert_eq!(session.state(), WAITING);
            drop(Hand::new(session.changed()));
            drop(Hand::new(session.close()));
            Ok(Scripted::grant(1))
        }
    }));
    *own.borrow_mut() = Some(session.clone());
    assert_eq!(text(at_once(session.token())), "at-2");
    let told: Vec<_> = told.take().into_iter().map(|result| result.expect_err("its own")).collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].is_reentrant() && told[1].is_reentrant() && told[2].is_not_ready(), "{told:?}");
    own.take();
}

// Rules B13, B14. The old future still runs when the next one starts, and its grant counts.
#[test]
fn a_late_grant_is_not_lost() {
    let script = Scripted::new().then(Answer::Hang).then(Answer::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().expect_err("it hangs").is_unavailable());
    time.advance(SECOND);
    let mut next = waiting(&session);
    assert_eq!((script.requests(), script.dropped()), (2, 0));
    // The oldest that hangs gets it.
    script.release(Answer::Grant(Scripted::grant(1)));
    assert_eq!(text(next.ready()), "at-2");
    drop((caller, next));
    assert_eq!(session.grant().expect("kept").refresh_token().expect("kept").expose(), "rt-2");
}

// Rules B3, B14. Flights that were given up are listened to, but not without bound.
#[test]
fn hung_refreshes_do_not_pile_up() {
    let (requests, alive) = (Rc::new(Cell::new(0)), Rc::new(()));
    let (count, held) = (Rc::clone(&requests), Rc::clone(&alive));
    let (session, time) = lapsed_of(LocalSession::builder(move |_: Request| {
        count.set(count.get() + 1);
        let held = Rc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
            Ok(Scripted::grant(1))
        }
    }));
    for _ in 0..20 {
        let mut caller = waiting(&session);
        time.advance(30 * SECOND);
        assert!(caller.ready().expect_err("it hangs").is_unavailable());
        time.advance(60 * SECOND);
    }
    assert_eq!(requests.get(), 20);
    assert!(Rc::strong_count(&alive) <= 8, "{} are kept", Rc::strong_count(&alive));
    drop(session);
    assert_eq!(Rc::strong_count(&alive), 1);
}

// Rule C9.
#[test]
fn dropping_the_last_handle_drops_the_refresh_at_once() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _) = lapsed(&script);
    let other = session.clone();
    drop(waiting(&session));
    drop(session);
    assert_eq!(script.dropped(), 0);
    drop(other);
    assert_eq!((script.requests(), script.dropped()), (1, 1));
}

/// Tells on which thread it is dropped. It is `!Send` as the refreshes here are.
struct Teller(mpsc::Sender<thread::ThreadId>, PhantomData<Rc<()>>);

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

// Rules C2, C9.
#[test]
fn what_outlives_the_session_on_another_thread_takes_no_local_thing_along() {
    let (sender, dropped) = mpsc::channel();
    let (session, _) = lapsed_of(LocalSession::builder(move |_: Request| {
        let teller = Teller(sender.clone(), PhantomData);
        async move {
            pending::<()>().await;
            drop(teller);
            Ok(Scripted::grant(1))
        }
    }));
    drop(waiting(&session));
    // It holds what is in the air.
    let watch = session.changed();
    drop(session);
    assert_eq!(dropped.try_recv(), Ok(thread::current().id()), "with the last handle");
    thread::spawn(move || drop(watch)).join().expect("no panic");
    assert!(dropped.try_recv().is_err());
}

// Rules B4, C2.
#[test]
fn two_sessions_of_one_thread_ask_each_its_own_refresher() {
    let scripts = [Scripted::new().then(Answer::Hang), Scripted::new().then(Answer::Hang)];
    let sessions = [lapsed(&scripts[0]).0, lapsed(&scripts[1]).0];
    let mut callers = [waiting(&sessions[0]), waiting(&sessions[1])];
    scripts[1].release(Answer::Grant(Scripted::grant(6)));
    callers[0].pending();
    assert_eq!(text(callers[1].ready()), "at-7");
    scripts[0].release(Answer::Grant(Scripted::grant(1)));
    assert_eq!(text(callers[0].ready()), "at-2");
    assert_eq!((scripts[0].requests(), scripts[1].requests()), (1, 1));
}

// Rules C4, C7.
#[test]
fn a_spawned_refresh_goes_on_when_all_callers_are_gone() {
    let script = Scripted::new().then(Answer::Hang);
    let tasks = LocalTasks::default();
    let builder = LocalSession::builder_with(Bound::new(&script)).spawner(tasks.spawner());
    let (session, _) = lapsed_of(builder);
    drop(waiting(&session));
    tasks.run();
    script.release(Answer::Grant(Scripted::grant(1)));
    assert!(tasks.woken() > 0, "nobody would know");
    tasks.run();
    assert_eq!((text(session.try_token()), tasks.len()), ("at-2".to_owned(), 0));
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rule C9.
#[test]
fn a_spawned_refresh_runs_on_when_the_last_handle_is_gone() {
    let script = Scripted::new().then(Answer::Hang);
    let (tasks, rotated) = (LocalTasks::default(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&rotated);
    let builder = LocalSession::builder_with(Bound::new(&script))
        .spawner(tasks.spawner())
        .on_rotate(move |_| count.set(count.get() + 1));
    let (session, _) = lapsed_of(builder);
    drop(waiting(&session));
    tasks.run();
    drop(session);
    script.release(Answer::Grant(Scripted::grant(1)));
    tasks.run();
    assert_eq!((script.requests(), script.dropped(), rotated.get(), tasks.len()), (1, 0, 1, 0));
    assert_eq!(Rc::strong_count(&rotated), 1, "nothing is left of the session");
}

// Rules B12, C9.
#[test]
fn a_keeper_renews_the_token_with_no_caller_and_ends_with_the_last_handle() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let builder = standard(LocalSession::builder_with(Bound::new(&script)), &time);
    let session = builder.build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    assert_eq!(script.requests(), 0);
    for renewed in 1..=5 {
        time.set(time.next_alarm().expect("it sleeps"));
        assert!(keeper.woken() > 0);
        keeper.pending();
        assert_eq!(script.requests(), renewed);
    }
    assert_eq!(text(session.try_token()), "at-6");
    let woken = keeper.woken();
    drop(session);
    time.advance(DUE);
    assert!(keeper.woken() > woken, "an alarm rang for nobody");
    keeper.ready();
    assert_eq!(script.requests(), 5);
}

// Rules B11, B14.
#[test]
fn a_refresh_that_a_logout_overtakes_is_revoked_by_the_local_refresher() {
    let script = Scripted::new().then(Answer::Hang);
    let refresher = Bound::new(&script);
    let polls = Rc::clone(&refresher.polls);
    let (session, _) = lapsed_of(LocalSession::builder_with(refresher));
    let mut caller = waiting(&session);
    at_once(session.logout()).expect("no store");
    assert!(caller.ready().expect_err("logged out").is_login_required());
    script.release(Answer::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("all has landed");
    assert_eq!(script.revoked(), ["rt-2"]);
    assert_eq!(polls.get(), 3, "two of the refresh, one of the revocation");
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    at_once(session.install(first_grant())).expect("no store");
    assert_eq!(text(session.try_token()), "at-1");
}

// Rules B14, F2.
#[test]
fn hooks_are_called_on_the_sessions_thread_and_need_not_be_sent() {
    let script = Scripted::new().then(Answer::Hang).then(Answer::Hang);
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let (rotations, orphans) = (Rc::clone(&told), Rc::clone(&told));
    let named = |what: &str, grant: &Grant| {
        format!("{what} {}", grant.refresh_token().expect("scripted").expose())
    };
    let builder = LocalSession::builder_with(Bound::new(&script))
        .on_rotate(move |grant| rotations.borrow_mut().push(named("rotated", grant)))
        .on_orphan(move |grant| orphans.borrow_mut().push(named("orphan", &grant)));
    let (session, _) = lapsed_of(builder);
    let mut caller = waiting(&session);
    script.release(Answer::Grant(Scripted::grant(1)));
    session.reject(&caller.ready().expect("a token"));
    let _overtaken = waiting(&session);
    at_once(session.logout()).expect("no store");
    script.release(Answer::Grant(Scripted::grant(2)));
    at_once(session.close()).expect("all has landed");
    assert_eq!(told.take(), ["rotated rt-2", "orphan rt-3"]);
    assert_eq!(script.revoked(), [""; 0]);
}

// Rules B13, C8.
#[test]
fn the_wishes_of_a_local_caller_are_kept() {
    let script = Scripted::new()
        .then(Answer::Hang)
        .then(Answer::Fail(RefreshError::unavailable("no connection")))
        .then(Answer::Grant(Scripted::grant(3)));
    let time = VirtualTime::at(START);
    let builder = standard(LocalSession::builder_with(Bound::new(&script)), &time);
    let session = builder.timer(time.clone()).build().expect("sendable");
    // Usable for longer than it lives.
    let long = Duration::from_secs(3595);
    let mut choosy = Hand::new(session.token_valid_for(long));
    choosy.pending();
    let mut hasty = Hand::new(session.token().valid_for(long).within(SECOND));
    hasty.pending();
    time.advance(SECOND);
    assert!(hasty.ready().expect_err("a limit").is_timeout());
    script.release(Answer::Grant(Scripted::grant(1)));
    assert!(choosy.ready().expect_err("an hour, no longer").is_too_brief());
    time.advance(HOUR);
    let mut patient = Hand::new(session.token_within(HOUR));
    patient.pending();
    time.advance(SECOND);
    assert!(patient.woken() > 0);
    assert_eq!(text(patient.ready()), "at-4");
    let token = session.try_token().expect("fresh");
    session.accept(&token);
    assert!(session.is_saved());
}

/// Asks by tokio's means, from tasks of this thread alone.
struct ByTokio {
    asked: Rc<Cell<usize>>,
    home: Home,
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

    fn home(&self) -> Home {
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
    let refresher = ByTokio { asked: Rc::clone(&asked), home: Home::Anywhere };
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
    let home = Home::Runtime(Arc::new(tokio));
    let refresher = ByTokio { asked: Rc::clone(&asked), home };
    let (session, _) = lapsed_of(LocalSession::builder_with(refresher));
    // Polled outside the runtime first, which then only has to keep time.
    let caller = waiting(&session);
    drop(caller);
    assert_eq!(text(runtime.block_on(session.token())), "at-2");
    assert_eq!(asked.get(), 1);
}
