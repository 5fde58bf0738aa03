//! The adapter for `metrics`, read as Prometheus shows it.

use perennial::adapters::metrics::{describe, record};
use perennial::session::Builder;
use perennial::testing::{Scripted, VirtualTime};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::outage::outage;
use crate::session_support::{HOUR, Hand, START, builder};

fn recorder() -> (PrometheusRecorder, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// Returns the value of the one line that begins like this.
#[track_caller]
fn value(page: &str, line: &str) -> f64 {
    let mut found = page.lines().filter_map(|it| it.strip_prefix(line)?.trim().parse().ok());
    let first = found.next().unwrap_or_else(|| panic!("no {line} in\n{page}"));
    assert_eq!(found.next(), None, "only one {line} in\n{page}");
    first
}

fn observe(builder: Builder) -> Builder {
    builder.name("billing").on_event(record)
}

// Rule H1. Alone from what a page of metrics shows.
#[test]
fn an_outage_is_seen_in_the_metrics_with_its_cause_its_status_and_its_end() {
    let (recorder, handle) = recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        outage(observe, || {
            let page = handle.render();
            let failing = r#"perennial_session_failing{perennial_session_name="billing"}"#;
            assert!((value(&page, failing) - 1.0).abs() < f64::EPSILON, "{page}");
            let failed = page.lines().find(|line| {
                line.starts_with("perennial_refresh_duration_count") && line.contains("503")
            });
            let failed = failed.unwrap_or_else(|| panic!("no failures in\n{page}"));
            assert!(failed.contains(r#"error_type="unavailable""#), "{failed}");
            assert!(failed.contains(r#"perennial_refresh_cause="lapsed""#), "{failed}");
            assert!(failed.ends_with(" 6"), "{failed}");
        });
        let page = handle.render();
        let failing = r#"perennial_session_failing{perennial_session_name="billing"}"#;
        assert!(value(&page, failing).abs() < f64::EPSILON, "{page}");
        let active = r#"perennial_refresh_active{perennial_session_name="billing"}"#;
        assert!(value(&page, active).abs() < f64::EPSILON, "{page}");
        let outage = r#"perennial_refresh_outage_sum{perennial_session_name="billing"}"#;
        assert!(value(&page, outage) > 60.0, "{page}");
        assert!(
            page.contains("# HELP perennial_refresh_duration how long refreshes took"),
            "{page}"
        );
    });
}

#[test]
fn gauges_return_to_zero_also_where_a_session_ends_in_the_middle() {
    let (recorder, handle) = recorder();
    metrics::with_local_recorder(&recorder, || {
        let script = Scripted::new().then(perennial::testing::Response::Hang);
        let time = VirtualTime::at(START);
        let session = observe(builder(&script, &time)).build().expect("sendable");
        time.advance(HOUR);
        let mut waiting = Hand::new(session.token());
        waiting.pending();
        let active = r#"perennial_refresh_active{perennial_session_name="billing"}"#;
        assert!((value(&handle.render(), active) - 1.0).abs() < f64::EPSILON);
        drop(waiting);
        drop(session);
        assert!(value(&handle.render(), active).abs() < f64::EPSILON, "{}", handle.render());
    });
}
