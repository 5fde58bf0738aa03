//! Which types may leave their thread. Sessions may, and so may their futures; local ones may not.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use perennial::refresh::Request;
use perennial::session::{Builder, Error, LocalBuilder, LocalSession, Session};
use perennial::testing::{Scripted, VirtualTime};
use perennial::time::Timestamp;

/// Something of type `T`, asked for its traits.
struct Of<T>(PhantomData<T>);

fn of<T>(_: &T) -> Of<T> {
    Of(PhantomData)
}

/// Whether the type of an [`Of`] has a trait: an inherent method, where its bound holds, goes before
/// the trait's, which says no. No function can be generic over that, hence the macro.
macro_rules! has {
    ($bound:path, $of:expr) => {{
        struct Asked<T>(#[allow(dead_code, reason = "only its type matters")] Of<T>);
        #[allow(dead_code, reason = "called where the bound does not hold")]
        trait Otherwise {
            fn answer(&self) -> bool {
                false
            }
        }
        impl<T> Otherwise for Asked<T> {}
        #[allow(dead_code, reason = "called where the bound holds")]
        impl<T: $bound> Asked<T> {
            fn answer(&self) -> bool {
                true
            }
        }
        Asked($of).answer()
    }};
}

fn session() -> Session {
    Session::builder_with(Scripted::new()).build().expect("nothing to check")
}

fn local() -> LocalSession {
    let held = Rc::new(());
    let refresh = move |_: Request| {
        let held = Rc::clone(&held);
        async move {
            drop(held);
            Ok(Scripted::grant(1))
        }
    };
    LocalSession::builder(refresh).build().expect("nothing to check")
}

#[test]
fn the_probe_tells_what_may_be_sent_from_what_may_not() {
    assert!(has!(Send, Of::<u8>(PhantomData)) && has!(Sync, Of::<u8>(PhantomData)));
    assert!(!has!(Send, Of::<Rc<u8>>(PhantomData)) && !has!(Sync, Of::<Rc<u8>>(PhantomData)));
    assert!(!has!(Unpin, of(&async { std::future::pending::<()>().await })));
}

// Rule C2.
#[test]
fn a_session_may_be_shared_between_threads() {
    assert!(has!(Send, Of::<Session>(PhantomData)));
    assert!(has!(Sync, Of::<Session>(PhantomData)));
    assert!(has!(Clone, Of::<Session>(PhantomData)));
    assert!(has!(Unpin, Of::<Session>(PhantomData)));
    assert!(has!(Send, Of::<Builder>(PhantomData)));
    assert!(has!(Send, Of::<Error>(PhantomData)) && has!(Sync, Of::<Error>(PhantomData)));
}

// Rule C2.
#[test]
fn the_futures_of_a_session_may_be_spawned_on_any_thread() {
    let session = session();
    let time = VirtualTime::at(Timestamp::from_secs(0));
    assert!(has!(Send, of(&session.token())) && has!(Unpin, of(&session.token())));
    assert!(has!(Send, of(&session.token_within(Duration::ZERO))));
    assert!(has!(Send, of(&session.token_valid_for(Duration::ZERO))));
    assert!(has!(Send, of(&session.changed())));
    assert!(has!(Send, of(&session.install(Scripted::grant(1)))));
    assert!(has!(Send, of(&session.logout())));
    assert!(has!(Send, of(&session.close())));
    assert!(has!(Send, of(&session.keep_fresh(time))));
}

// Rule C2.
#[test]
fn a_local_session_stays_on_its_thread() {
    assert!(!has!(Send, Of::<LocalSession>(PhantomData)));
    assert!(!has!(Sync, Of::<LocalSession>(PhantomData)));
    assert!(has!(Clone, Of::<LocalSession>(PhantomData)));
    assert!(has!(Unpin, Of::<LocalSession>(PhantomData)));
    assert!(!has!(Send, Of::<LocalBuilder>(PhantomData)));
}

// Rule C2.
#[test]
fn the_futures_of_a_local_session_stay_on_its_thread() {
    let session = local();
    let time = VirtualTime::at(Timestamp::from_secs(0));
    assert!(!has!(Send, of(&session.token())) && has!(Unpin, of(&session.token())));
    assert!(!has!(Send, of(&session.token_within(Duration::ZERO))));
    assert!(!has!(Send, of(&session.token_valid_for(Duration::ZERO))));
    assert!(!has!(Send, of(&session.install(Scripted::grant(1)))));
    assert!(!has!(Send, of(&session.logout())));
    assert!(!has!(Send, of(&session.close())));
    assert!(!has!(Send, of(&session.keep_fresh(time))));
}
