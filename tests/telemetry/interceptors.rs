//! What interceptors report.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode, Uri};
use perennial::interceptor::{Interceptor, RequestTarget, ResponseHead};
use perennial::testing::{Scripted, VirtualTime};
use perennial::verdict::{Attempt, Body, ResponseOrigin};

use crate::session_support::{START, builder};

#[test]
fn a_refused_request_and_a_rejected_one_are_told_to_the_hooks_of_the_session_and_of_the_interceptor()
 {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let note = |who: &'static str| {
        let lines = Arc::clone(&lines);
        move |event: &perennial::events::Event| {
            lines.lock().expect("no panic").push(format!("{who}: {event}"));
        }
    };
    let time = VirtualTime::at(START);
    let session = builder(&Scripted::new(), &time).on_event(note("session")).build();
    let session = session.expect("the grant can be sent");
    let token = session.token_blocking().expect("it is fresh");
    let interceptor = Interceptor::builder(session).any_origin().on_event(note("interceptor"));
    let interceptor = interceptor.build().expect("it is valid");
    let plain: Uri = "http://example.com/secret?path=1".parse().expect("it is valid");
    assert!(interceptor.attaches(RequestTarget::from_uri(&plain), &HeaderMap::new()).is_err());
    let headers = HeaderMap::new();
    let head = ResponseHead { status: StatusCode::UNAUTHORIZED, headers: &headers };
    let origin = ResponseOrigin::SameOrigin;
    let _ = interceptor.handle_response(&token, head, origin, Body::Replayable, Attempt::First);
    let _ = interceptor.handle_response(&token, head, origin, Body::Replayable, Attempt::Second);
    let lines = lines.lock().expect("no panic");
    let seen = |who: &str, words: &[&str]| {
        let found =
            |line: &&String| line.starts_with(who) && words.iter().all(|word| line.contains(word));
        lines.iter().filter(found).count()
    };
    for who in ["session", "interceptor"] {
        let refused = ["request.refused", "plain_http", "server.address http://example.com"];
        assert_eq!(seen(who, &refused), 1, "{lines:#?}");
        assert_eq!(seen(who, &["response.rejected", "code 401", "replayed true"]), 1, "{lines:#?}");
        assert_eq!(
            seen(who, &["response.rejected", "code 401", "replayed false"]),
            1,
            "{lines:#?}"
        );
        assert_eq!(seen(who, &["path"]), 0, "{lines:#?}");
    }
    assert_eq!(seen("session", &["token.rejected", "withdrawn"]), 1, "{lines:#?}");
    assert_eq!(seen("interceptor", &["token.rejected"]), 0, "{lines:#?}");
}
