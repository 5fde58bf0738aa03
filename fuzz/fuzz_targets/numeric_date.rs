//! Any text off the wire: read or refused, never a panic; whole numbers are read exactly, all
//! others rounded down, so that no token lives longer than was said. Rules A1, A4.
#![cfg_attr(not(test), no_main)]

use perennial::time::{ExpiresIn, NumericDate};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let (lifetime, date) = (text.parse::<ExpiresIn>(), text.parse::<NumericDate>());
    assert_eq!(lifetime.is_ok(), date.is_ok());
    let (Ok(lifetime), Ok(date)) = (lifetime, date) else { return };
    let (lifetime, date) = (lifetime.span().as_millis(), date.timestamp().as_millis());
    if let Ok(whole) = text.trim().parse::<i64>() {
        assert_eq!(date, whole.saturating_mul(1000));
        assert_eq!(lifetime, whole.max(0).unsigned_abs().saturating_mul(1000));
    } else {
        let seconds: f64 = text.trim().parse().expect("what is read is a number");
        assert!(seconds > 0.0 || lifetime == 0);
        assert!(lifetime as f64 <= seconds.max(0.0) * 1000.0);
        assert!(date as f64 <= seconds * 1000.0 || date == i64::MIN);
    }
    // The two agree wherever both can say it.
    assert!(!(0..i64::MAX).contains(&date) || u64::try_from(date) == Ok(lifetime));
}
