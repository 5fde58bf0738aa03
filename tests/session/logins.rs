//! Logins, logouts and closes at once, and on stores that hang.

use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use crate::session_support::ledger::{Fault, Ledger, settled, stored};
use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, at_once, first_grant, lapsed, text, until,
    waiting, watched,
};
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::{Error, Session};
use perennial::store::StoredGrant;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Span;
use perennial::token::{Grant, Secret};

const LOGGED_OUT: State = State::Expired(Remedy::LogIn);

/// A refresh may take this long, and so may what a login or a logout asks of the store.
const DEADLINE: Duration = Duration::from_secs(30);

/// The grant of a login: `at-7`.
fn login() -> Grant {
    Scripted::grant(6)
}

/// The grant of another login: `at-8`.
fn other_login() -> Grant {
    Scripted::grant(7)
}

fn refresh_token(session: &Session) -> Option<String> {
    session.grant()?.refresh_token().map(Secret::expose).map(str::to_owned)
}

/// What session and store hold.
fn both(session: &Session, ledger: &Ledger) -> (Option<String>, Option<String>) {
    (refresh_token(session), ledger.refresh_token())
}

fn superseded(result: Result<(), Error>) -> bool {
    result.is_err_and(|error| error.is_superseded() && !error.is_login_required())
}

// Rule B11. Case X31.
#[test]
fn a_logout_that_waits_on_its_write_undoes_no_login_that_began_after_it() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::WritesHang);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    ledger.set_for_others(Fault::None);
    at_once(session.install(login())).expect("stored");
    ledger.set(Fault::None);
    assert!(superseded(logout.ready()));
    let rt_7 = Some("rt-7".to_owned());
    assert_eq!(both(&session, &ledger), (rt_7.clone(), rt_7));
    assert!(session.is_saved());
    time.advance(2 * HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented()[0].as_deref(), Some("rt-7"));
}

// Rule B11. Case X31, the other way round.
#[test]
fn a_login_that_waits_on_its_write_undoes_no_logout_that_began_after_it() {
    for fault in [Fault::Hangs, Fault::WritesHang, Fault::AnswersLate] {
        let (session, _, ledger) = settled(&Scripted::new());
        ledger.set(fault);
        let mut install = Hand::new(session.install(login()));
        install.pending();
        ledger.set_for_others(Fault::None);
        at_once(session.logout()).expect("stored");
        ledger.set(Fault::None);
        assert!(superseded(install.ready()), "{fault:?}");
        assert_eq!(both(&session, &ledger), (None, None), "{fault:?}");
        assert_eq!(session.state(), LOGGED_OUT);
        assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    }
}

// Rule B11. Of two logins the one that began last, in whichever order they are stored.
#[test]
fn of_two_logins_the_one_that_began_last_stands() {
    for fault in [Fault::Hangs, Fault::WritesHang, Fault::AnswersLate] {
        let (session, _, ledger) = settled(&Scripted::new());
        ledger.set(fault);
        let mut first = Hand::new(session.install(login()));
        first.pending();
        ledger.set_for_others(Fault::None);
        at_once(session.install(other_login())).expect("stored");
        ledger.set(Fault::None);
        assert!(superseded(first.ready()), "{fault:?}");
        let rt_8 = Some("rt-8".to_owned());
        assert_eq!(both(&session, &ledger), (rt_8.clone(), rt_8), "{fault:?}");
        assert_eq!(text(at_once(session.token())), "at-8");
    }
}

// Rule B11. A later one that came to nothing has undone nothing.
#[test]
fn a_login_stands_where_a_later_one_could_not_read_the_store() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.set(Fault::WritesHang);
    let mut first = Hand::new(session.install(login()));
    first.pending();
    ledger.set_for_others(Fault::Unreachable);
    assert!(at_once(session.install(other_login())).expect_err("no store").is_store());
    ledger.set(Fault::None);
    first.ready().expect("stored");
    assert_eq!(text(at_once(session.token())), "at-7");
}

// Rules B11, B2. Case X32.
#[test]
fn a_login_whose_store_answers_late_brings_no_rejected_token_back() {
    let script = Scripted::new();
    let (session, _, ledger) = settled(&script);
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(login()));
    install.pending();
    ledger.set_for_others(Fault::None);
    // A refresh finds the login in the store; its token is rejected, and renewed.
    let _ = session.reject(&session.try_token().expect("at-1"));
    let found = at_once(session.token()).expect("at-7");
    assert_eq!(found.expose(), "at-7");
    let _ = session.reject(&found);
    assert_eq!(text(at_once(session.token())), "at-2");
    ledger.set(Fault::None);
    install.ready().expect("it was in effect by then");
    assert_eq!(text(at_once(session.token())), "at-2");
    let rt_2 = Some("rt-2".to_owned());
    assert_eq!(both(&session, &ledger), (rt_2.clone(), rt_2));
}

// Rule B11. A logout is no success where a login that began after it may yet be stored.
#[test]
fn a_logout_does_not_vouch_for_a_store_that_a_later_login_may_have_written() {
    let (session, time, ledger) = settled(&Scripted::new());
    ledger.set(Fault::AnswersLate);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    let mut install = Hand::new(session.install(login()));
    install.pending();
    time.advance(DEADLINE);
    assert!(install.ready().expect_err("given up").is_store());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"), "and stored all the same");
    ledger.set(Fault::None);
    assert!(superseded(logout.ready()));
    at_once(session.logout()).expect("there is nobody else");
    assert_eq!(both(&session, &ledger), (None, None));
}

// Rule B11. Case X32: as above, and another process has renewed it.
#[test]
fn a_login_whose_store_answers_late_brings_no_spent_refresh_token_back() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(login()));
    install.pending();
    ledger.set_for_others(Fault::None);
    ledger.overwrite(Some(stored(Grant::new("at-9", "rt-9", HOUR))));
    let _ = session.reject(&session.try_token().expect("at-1"));
    assert_eq!(text(at_once(session.token())), "at-9");
    ledger.set(Fault::None);
    install.ready().expect("it was stored, and renewed since");
    assert_eq!(refresh_token(&session).as_deref(), Some("rt-9"));
}

// Rule B11: "between processes the last write does".
#[test]
fn a_login_that_another_process_has_logged_out_meanwhile_is_no_success() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(login()));
    install.pending();
    ledger.set_for_others(Fault::None);
    ledger.overwrite(None);
    let _ = session.reject(&session.try_token().expect("at-1"));
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    ledger.set(Fault::None);
    assert!(superseded(install.ready()));
    assert_eq!(both(&session, &ledger), (None, None));
}

// Rule B11: "between processes the last write does", also after a refresh has found the login.
#[test]
fn a_login_that_was_found_and_then_logged_out_by_another_process_is_no_success() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(login()));
    install.pending();
    ledger.set_for_others(Fault::None);
    let _ = session.reject(&session.try_token().expect("at-1"));
    assert_eq!(text(at_once(session.token())), "at-7");
    ledger.overwrite(None);
    let _ = session.reject(&session.try_token().expect("at-7"));
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    ledger.set(Fault::None);
    assert!(superseded(install.ready()));
    assert_eq!(both(&session, &ledger), (None, None));
}

// Rules B11, F2. A store that was emptied by hand counts its writes anew.
#[test]
fn a_login_is_taken_in_though_the_store_counts_its_writes_anew() {
    let (session, _, ledger) = settled(&Scripted::new());
    for _ in 0..5 {
        at_once(session.install(login())).expect("stored");
    }
    ledger.forgotten();
    at_once(session.install(other_login())).expect("stored");
    assert_eq!(text(at_once(session.token())), "at-8");
}

type Begun<'a> = Hand<Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>>;

/// The `which`th of a login, a logout and a close.
fn begun(session: &Session, which: usize) -> (&'static str, Begun<'_>) {
    match which {
        0 => ("install", Hand::new(Box::pin(session.install(login())) as Pin<Box<_>>)),
        1 => ("logout", Hand::new(Box::pin(session.logout()) as Pin<Box<_>>)),
        _ => ("close", Hand::new(Box::pin(session.close()) as Pin<Box<_>>)),
    }
}

/// A session that has something to be stored, and a store that fails as `fault` says from now on.
fn unsaved(timer: bool, fault: Fault) -> (Session, VirtualTime, Ledger) {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let script = Scripted::new();
    let builder = ledger.builder(&script, &time);
    let builder = if timer { builder.timer(time.clone()) } else { builder };
    let session = builder.build().expect("nothing to check");
    at_once(session.token()).expect("fresh");
    time.advance(HOUR);
    ledger.read_only_once_asked();
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(!session.is_saved());
    ledger.set(fault);
    (session, time, ledger)
}

// Rules B11, C3. Case X33.
#[test]
fn on_a_store_that_hangs_a_login_a_logout_and_a_close_end_at_the_deadline_by_the_timer() {
    for fault in [Fault::Hangs, Fault::WritesHang, Fault::AnswersLate] {
        for which in 0..3 {
            let (session, time, _ledger) = unsaved(true, fault);
            let (name, mut hand) = begun(&session, which);
            hand.pending();
            time.advance(DEADLINE.saturating_sub(SECOND));
            hand.pending();
            let woken = hand.woken();
            time.advance(SECOND);
            assert!(hand.woken() > woken, "{name} is woken, {fault:?}");
            let error = hand.ready().expect_err("the store hangs");
            assert!(error.is_store() && error.is_unavailable(), "{name}, {fault:?}: {error}");
            let source = std::error::Error::source(&error).expect("the store's").to_string();
            assert!(source.contains("did not answer in time"), "{name}: {source}");
        }
    }
}

// Rules B11, B13. Case X33: without a timer at the first poll after the deadline.
#[test]
fn on_a_store_that_hangs_all_end_at_the_first_poll_after_the_deadline_without_a_timer() {
    for which in 0..3 {
        let (session, time, _ledger) = unsaved(false, Fault::Hangs);
        let (name, mut hand) = begun(&session, which);
        hand.pending();
        time.advance(DEADLINE);
        assert!(hand.ready().expect_err(name).is_store());
    }
}

// Rules B11, A5. Case X33 on a clock that is set back.
#[test]
fn on_a_store_that_hangs_a_login_ends_though_the_clock_goes_back() {
    for timer in [false, true] {
        let (session, time, _ledger) = unsaved(timer, Fault::Hangs);
        let mut install = Hand::new(session.install(login()));
        install.pending();
        time.set(START);
        install.pending();
        for _ in 0..2 {
            time.advance(DEADLINE);
            let _ = timer.then(|| install.woken());
        }
        assert!(install.ready().expect_err("the store hangs").is_store());
    }
}

// Rules B11, C3. Case X33, on a plain thread.
#[test]
fn on_a_store_that_hangs_a_thread_that_logs_in_or_out_or_closes_is_let_go_at_the_deadline() {
    for which in 0..3 {
        watched(move || {
            let (session, time, ledger) = unsaved(true, Fault::Hangs);
            ledger.take_log();
            let caller = session.clone();
            let thread = thread::spawn(move || match which {
                0 => caller.install_blocking(login()),
                1 => caller.logout_blocking(),
                _ => caller.close_blocking(),
            });
            until(|| time.next_alarm().is_some());
            time.advance(DEADLINE);
            assert!(thread.join().expect("no panic").expect_err("it hangs").is_store());
        });
    }
}

// Rule B11. Case X33: what was given up may be written all the same, and the session finds it.
#[test]
fn a_login_that_was_given_up_and_is_stored_all_the_same_is_found_by_the_next_refresh() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(StoredGrant::new(login(), START).grant));
    install.pending();
    time.advance(DEADLINE);
    assert!(install.ready().expect_err("given up").is_store());
    assert_eq!(text(at_once(session.token())), "at-1", "it is not in effect");
    ledger.set(Fault::None);
    let _ = session.reject(&session.try_token().expect("at-1"));
    assert_eq!(text(at_once(session.token())), "at-7");
    assert_eq!(script.requests(), 0);
}

// Rules C9, B3. Case X55.
#[test]
fn closing_a_session_that_is_well_succeeds_though_a_superseded_request_hangs() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(DEADLINE);
    assert!(caller.ready().is_err());
    time.advance(DEADLINE);
    assert_eq!(text(at_once(session.token())), "at-3");
    at_once(session.close()).expect("all is well");
    drop(caller);
    watched(move || session.close_blocking().expect("all is well"));
}

// Rule C9. The newest refresh has no answer: what becomes of the grant is not known.
#[test]
fn closing_says_so_where_the_newest_refresh_hangs() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    let mut close = Hand::new(session.close());
    close.pending();
    time.advance(DEADLINE);
    assert!(close.ready().expect_err("no answer").is_unavailable());
    assert!(caller.ready().is_err());
    time.advance(HALF_A_SECOND);
}

// Rules C9, B11. What a refresh of before the logout may still bring is waited for until its deadline.
#[test]
fn closing_after_a_logout_waits_for_what_may_have_to_be_revoked_and_then_succeeds() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    let mut close = Hand::new(session.close());
    close.pending();
    time.advance(DEADLINE);
    close.ready().expect("nothing of the session's own is lost");
}

// Rules B11, B14. The program installs again what it has, from a database of its own, say.
#[test]
fn the_answer_to_a_refresh_token_that_is_installed_again_meanwhile_is_kept() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.install(first_grant())).expect("no store");
    // It is not presented beside the request that is out.
    time.advance(HALF_A_SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 1);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    at_once(session.close()).expect("all has landed");
    assert_eq!((refresh_token(&session).as_deref(), script.revoked()), (Some("rt-2"), vec![]));
}

// Rules B11, B14, F2. The same with a store.
#[test]
fn the_answer_to_a_refresh_token_that_is_stored_again_meanwhile_is_stored() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.install(first_grant())).expect("stored");
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    at_once(session.close()).expect("all is stored");
    let rt_2 = Some("rt-2".to_owned());
    assert_eq!(both(&session, &ledger), (rt_2.clone(), rt_2));
    assert!(session.is_saved() && script.revoked().is_empty());
}

// Rules B11, B12. A timer that rings at once ends nothing early, and keeps no executor.
#[test]
fn a_timer_that_rings_at_once_neither_ends_a_login_nor_keeps_the_executor() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let builder = ledger.builder(&Scripted::new(), &time).timer(|_| async {});
    let session = builder.build().expect("nothing to check");
    ledger.set(Fault::Hangs);
    let mut install = Hand::new(session.install(login()));
    install.pending();
    assert!(install.woken() > 0, "it is polled again once others have had a turn");
    time.advance(DEADLINE);
    assert!(install.ready().expect_err("it hangs").is_store());
}

// Rule B6. The request is under way, and what a login brings does not make it unsent.
#[test]
fn a_login_with_the_refresh_token_that_is_being_presented_does_not_present_it_again_at_once() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, _) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    assert_eq!(script.requests(), 1);
    at_once(session.install(first_grant())).expect("stored");
    // Due, and still usable: under strict rotation it is the last chance that is waited for.
    time.advance(DUE);
    for _ in 0..3 {
        assert_eq!(text(at_once(session.token())), "at-1");
    }
    assert_eq!(script.requests(), 1);
}

// Rule B6. What was answered, or was another refresh token, leaves no doubt about this one.
#[test]
fn a_login_is_in_no_doubt_for_a_request_that_was_refused_or_presented_another_refresh_token() {
    let unavailable = Response::Fail(RefreshError::unavailable("503"));
    for (response, grant) in [(unavailable, first_grant()), (Response::Hang, login())] {
        let script = Scripted::new().then(response);
        let (session, time, _) = settled(&script);
        time.advance(HOUR);
        let mut caller = Hand::new(session.token());
        let _ = caller.poll();
        drop(caller);
        assert_eq!(script.requests(), 1);
        at_once(session.install(grant)).expect("stored");
        time.advance(DUE);
        let _ = at_once(session.token());
        assert_eq!(script.requests(), 2, "it is due, and refreshed");
    }
}

/// A session under an overlap of 45 s, with a refresh deadline of 15 s.
fn overlapping(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let reuse = Reuse::OverlapSuccessors(Span::from_secs(45));
    let policy = Policy::builder().reuse(reuse).build().expect("valid");
    let session = ledger.builder(script, &time).policy(policy).build().expect("valid");
    assert_eq!(text(at_once(session.token())), "at-1");
    (session, time, ledger)
}

/// A login of a refresh token alone that is stored, and has not heard so; a refresh that is due finds it in
/// the store meanwhile.
fn found_while_it_is_stored<'a>(
    session: &'a Session,
    ledger: &Ledger,
    refresh_token: &str,
) -> Hand<impl Future<Output = Result<(), Error>> + 'a> {
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(Grant::of_refresh_token(refresh_token)));
    install.pending();
    ledger.set_for_others(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-1");
    install
}

// Rules B4, B6, B11. A login of a refresh token alone, which a refresh finds in the store and cannot renew.
#[test]
fn a_login_that_a_refresh_has_found_and_failed_to_renew_is_in_effect_once_it_returns() {
    let refused = || Response::Fail(RefreshError::unavailable("503"));
    let unknown = || Response::Fail(RefreshError::unknown("reset"));
    // What was refused is as good as new. What may be spent is presented again within the window, which
    // counts from when it was first sent.
    for (response, in_window) in [(refused(), false), (unknown(), true)] {
        let script = Scripted::new().then(response).then(Response::Hang);
        let until = if in_window { 9 } else { 14 } * SECOND;
        let (session, time, ledger) = overlapping(&script);
        time.advance(DUE);
        let mut install = found_while_it_is_stored(&session, &ledger, "rt-7");
        assert_eq!(script.presented().pop().flatten().as_deref(), Some("rt-7"));
        time.advance(10 * SECOND);
        ledger.set(Fault::None);
        install.ready().expect("it is stored");
        assert_eq!(refresh_token(&session).as_deref(), Some("rt-7"));
        assert!(session.try_token().is_err(), "of the earlier login");
        time.advance(25 * SECOND);
        let mut caller = waiting(&session);
        assert_eq!(script.requests(), 2);
        time.advance(until);
        caller.pending();
        time.advance(SECOND);
        assert!(caller.ready().is_err(), "its deadline has expired");
    }
}

// Rule B7. As above, and the login returns at once: it lifts no backoff of the refresh that presented it.
#[test]
fn a_login_that_a_refresh_has_found_and_failed_to_renew_waits_for_the_backoff_of_that_refresh() {
    let script = Scripted::new().then(Response::Fail(RefreshError::unavailable("503")));
    let (session, time, ledger) = settled(&script);
    time.advance(DUE);
    let mut install = found_while_it_is_stored(&session, &ledger, "rt-7");
    assert_eq!(script.presented().pop().flatten().as_deref(), Some("rt-7"));
    ledger.set(Fault::None);
    install.ready().expect("it is stored");
    assert!(at_once(session.token()).expect_err("it has just failed").is_unavailable());
    assert_eq!(script.requests(), 1);
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.requests(), 2);
}

// Rule B6. The window counts from when the refresh token was first sent, by a request that is still out.
#[test]
fn a_login_whose_refresh_token_a_refresh_has_found_and_presents_opens_no_window_of_its_own() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time, ledger) = overlapping(&script);
    time.advance(DUE);
    let mut install = found_while_it_is_stored(&session, &ledger, "rt-7");
    assert_eq!(script.presented().pop().flatten().as_deref(), Some("rt-7"));
    time.advance(10 * SECOND);
    ledger.set(Fault::None);
    install.ready().expect("it is stored");
    time.advance(25 * SECOND);
    assert!(at_once(session.token()).expect_err("no answer came").is_unavailable());
    time.advance(6 * SECOND);
    let mut caller = waiting(&session);
    assert_eq!(script.requests(), 2);
    time.advance(3 * SECOND);
    caller.pending();
    time.advance(SECOND);
    assert!(caller.ready().is_err(), "the window closes");
}

// Rules B4, B6. Under strict rotation to present it twice costs the grant.
#[test]
fn a_login_with_a_refresh_token_alone_that_is_being_presented_waits_for_the_response() {
    for login in ["rt-1", "rt-7"] {
        let script = Scripted::new().then(Response::Hang);
        let (session, time, ledger) = settled(&script);
        time.advance(DUE);
        let mut install = found_while_it_is_stored(&session, &ledger, login);
        assert_eq!(script.presented().pop().flatten().as_deref(), Some(login));
        ledger.set(Fault::None);
        install.ready().expect("it is stored");
        assert!(session.try_token().is_err(), "of the earlier login");
        let mut caller = waiting(&session);
        assert_eq!(script.requests(), 1);
        script.release(Response::Grant(Grant::new("at-8", "rt-8", HOUR)));
        assert_eq!(text(caller.ready()), "at-8");
        assert_eq!(both(&session, &ledger), (Some("rt-8".to_owned()), Some("rt-8".to_owned())));
        assert_eq!(script.requests(), 1);
    }
}

// Rules B3, B6. The server may still rotate it for the request of before the logout.
#[test]
fn a_refresh_token_in_flight_at_a_logout_is_not_presented_again_while_its_new_token_works() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time, _) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    time.advance(SECOND);
    at_once(session.logout()).expect("logged out");
    at_once(session.install(first_grant())).expect("logged in");
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 1);
}

// Rules B11, F2. The earlier one is found first, and its store answers last.
#[test]
fn of_two_logins_that_refreshes_have_found_the_earlier_one_is_superseded() {
    let script = Scripted::new();
    let (session, time, ledger) = overlapping(&script);
    time.advance(DUE);
    ledger.set(Fault::AnswersLate);
    let mut earlier = Hand::new(session.install(Scripted::grant(6)));
    earlier.pending();
    ledger.set_for_others(Fault::WritesHang);
    let mut later = Hand::new(session.install(Scripted::grant(8)));
    later.pending();
    ledger.set_for_others(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(session.try_token()), "at-7");
    assert_eq!(script.requests(), 0);
    ledger.set(Fault::AnswersLate);
    later.pending();
    ledger.set_for_others(Fault::None);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-7");
    assert_eq!(text(session.try_token()), "at-9");
    assert_eq!(script.requests(), 0);
    ledger.set(Fault::None);
    assert!(earlier.ready().expect_err("another one has begun since").is_superseded());
    later.ready().expect("it is in effect");
}
