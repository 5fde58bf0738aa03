//! No secret in events, traces and metrics.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;
use perennial::adapters::metrics;
use perennial::refresh::RefreshError;
use perennial::session::Builder;
use perennial::store::{MemoryStore, Store};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

use crate::session_support::{HOUR, START, standard};

/// What must not be seen anywhere.
const PLANTED: [&str; 3] = ["planted-access", "planted-refresh", "planted-next"];

/// A writer that keeps what `tracing` prints.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn observed(builder: Builder, shown: &Arc<Mutex<String>>) -> Builder {
    let shown = Arc::clone(shown);
    builder.traced().on_event(metrics::record).on_event(move |event| {
        let json = serde_json::to_string(event).expect("it can be serialised");
        let mut shown = shown.lock().expect("no panic");
        write!(shown, "{event} {event:?} {event:#?} {json}").expect("a string");
    })
}

// Rule G1: "No token, refresh token, client secret or key may appear in `Debug`, `Display`, errors, panics,
// events, logs or metrics."
#[test]
fn no_token_is_in_any_event_trace_or_metric() {
    let printed = Printed::default();
    let writer = printed.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(::tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let shown = Arc::new(Mutex::new(String::new()));
    ::tracing::subscriber::with_default(subscriber, || {
        ::metrics::with_local_recorder(&recorder, || run(&shown));
    });
    let printed = String::from_utf8(printed.0.lock().expect("no panic").clone()).expect("text");
    let everything = [shown.lock().expect("no panic").clone(), printed, handle.render()];
    for (text, what) in
        everything.iter().zip(["refresh.failed", "refresh.failed", "refresh_duration"])
    {
        assert!(text.contains(what), "something was observed: {text}");
        for planted in PLANTED {
            assert!(!text.contains(planted), "{planted} in {text}");
        }
    }
}

fn run(shown: &Arc<Mutex<String>>) {
    let script = Scripted::new()
        .then(Response::Grant(Grant::new("planted-access", "planted-refresh", HOUR)))
        .then(Response::Panic)
        .then(Response::Fail(RefreshError::declined("it was revoked")));
    let time = VirtualTime::at(START);
    let builder = standard(perennial::session::Session::builder_with(script), &time);
    let grant = Grant::new("planted-next", "planted-next", HOUR);
    let store = MemoryStore::new().on_event(|_| {});
    let session = observed(builder.grant(grant).store(store), shown);
    let session = session.build().expect("the grant can be sent");
    let token = session.token_blocking().expect("it is fresh");
    let _ = session.reject(&token);
    session.token_blocking().expect("the server grants");
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    session.logout_blocking().expect("the store works");
}
