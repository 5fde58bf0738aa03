//! Any text off the wire: read or refused, never a panic; and a lifetime never outlives what a
//! float makes of it by more than rounding. Rules A1, A4.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perennial::time::{ExpiresIn, NumericDate, Span};

fuzz_target!(|text: &str| {
    let (lifetime, date) = (text.parse::<ExpiresIn>(), text.parse::<NumericDate>());
    assert_eq!(lifetime.is_ok(), date.is_ok());
    if let (Ok(lifetime), Ok(seconds)) = (lifetime, text.trim().parse::<f64>()) {
        assert!(seconds > 0.0 || lifetime.span() == Span::ZERO);
        assert!(lifetime.span().as_millis() as f64 <= seconds.max(0.0) * 1000.0 + 1.0);
    }
});
