//! The adapter for `tracing`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use perennial::adapters::tracing::record;
use perennial::events::Event;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::names::{Seen, all_kinds};
use crate::outage::{FAILURES, outage};
use crate::session_support::{HOUR, START, builder, first_grant};

/// What a subscriber has been given.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

#[derive(Clone, Debug)]
struct Line {
    level: Level,
    /// The span that it was in, if any.
    span: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let span = context.event_span(event).map(|span| span.name());
        let level = *event.metadata().level();
        self.0.lock().expect("no panic").push(Line { level, span, fields });
    }

    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut fields = BTreeMap::from([("message", "a span".to_owned())]);
        span.record(&mut Fields(&mut fields));
        let level = *span.metadata().level();
        self.0.lock().expect("no panic").push(Line { level, span: None, fields });
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::from([("message", "recorded".to_owned())]);
        values.record(&mut Fields(&mut fields));
        self.0.lock().expect("no panic").push(Line { level: Level::INFO, span: None, fields });
    }
}

fn logged(run: impl FnOnce()) -> Vec<Line> {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    tracing::subscriber::with_default(subscriber, run);
    let lines = log.0.lock().expect("no panic");
    lines.clone()
}

fn with<'a>(lines: &'a [Line], message: &str) -> Vec<&'a Line> {
    lines.iter().filter(|line| line.fields.get("message").is_some_and(|it| it == message)).collect()
}

#[test]
fn an_outage_is_one_warning_and_its_end_one_line() {
    let lines = logged(|| outage(|builder| builder.on_event(record), || {}));
    let warnings = lines.iter().filter(|line| line.level <= Level::WARN).count();
    assert_eq!(warnings, 1, "{lines:#?}");
    let failed = with(&lines, "refresh.failed");
    assert_eq!(failed.len(), usize::try_from(FAILURES).expect("few"));
    assert_eq!(failed[0].level, Level::WARN);
    assert!(failed[1..].iter().all(|line| line.level == Level::DEBUG), "{failed:#?}");
    assert_eq!(failed[0].fields["http.response.status_code"], "503");
    assert_eq!(failed[0].fields["error.type"], "\"unavailable\"");
    let succeeded = with(&lines, "refresh.succeeded");
    assert_eq!(succeeded[0].level, Level::INFO);
    assert!(succeeded[0].fields.contains_key("perennial.refresh.outage"));
}

#[test]
fn what_a_refresher_logs_is_in_the_span_of_its_refresh() {
    let lines = logged(|| {
        let time = VirtualTime::at(START);
        let session = Session::builder(|_: Request| async {
            tracing::info!("asking");
            Err::<Grant, _>(RefreshError::unavailable("answered 503").with_status(503))
        });
        let session = session.clock(time.clone()).grant(first_grant()).name("billing").traced();
        let session = session.build().expect("the grant can be sent");
        time.advance(HOUR);
        assert!(session.token_blocking().is_err());
    });
    let asking = with(&lines, "asking");
    assert_eq!(asking[0].span, Some("refresh"));
    let span = with(&lines, "a span");
    assert_eq!(span[0].fields["perennial.session.name"], "\"billing\"");
    assert_eq!(span[0].fields["perennial.refresh.cause"], "\"lapsed\"");
    let recorded = with(&lines, "recorded");
    let ends = |name: &str| recorded.iter().any(|line| line.fields.contains_key(name));
    assert!(ends("error.type") && ends("http.response.status_code"), "{lines:#?}");
}

// Rule H3. The macros of `tracing` know the names beforehand, and might lack one.
#[test]
fn no_attribute_is_missing_in_a_trace() {
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let seen = Seen::default();
    let kept = Arc::clone(&events);
    seen.also(move |event| kept.lock().expect("no panic").push(event.clone()));
    all_kinds(&seen);
    for event in &*events.lock().expect("no panic") {
        let lines = logged(|| record(event));
        let mut expected = BTreeSet::from(["message"]);
        event.attributes(&mut |name, _| {
            expected.insert(name);
        });
        let found: BTreeSet<_> = lines[0].fields.keys().copied().collect();
        assert_eq!(found, expected, "{event}");
    }
}

#[test]
fn a_decline_is_an_error_in_the_log_also_after_other_failures_and_once() {
    let declined = || Response::Fail(RefreshError::misconfigured("invalid_client"));
    let script = Scripted::new()
        .then(Response::Fail(RefreshError::unavailable("no answer")))
        .then(declined())
        .then(declined());
    let lines = logged(|| {
        let time = VirtualTime::at(START);
        let session = builder(&script, &time).on_event(record).build().expect("sendable");
        for _ in 0..3 {
            time.advance(HOUR);
            assert!(session.token_blocking().is_err());
        }
    });
    let levels: Vec<_> = with(&lines, "refresh.failed").iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::WARN, Level::ERROR, Level::DEBUG]);
}
