//! Any bytes as a stored grant: read, or a clear error that quotes nothing of them; what is read is
//! written so that it reads the same, and no cut of what is written can be read. Rules F1, F5, G1.
#![cfg_attr(not(test), no_main)]

use perennial::store::{StoreError, Versioned};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub fn property(bytes: &[u8]) {
    let content = match Versioned::from_json(bytes) {
        Ok(content) => content,
        Err(error) => return quotes_nothing(&error),
    };
    let written = content.to_json();
    let written = written.expose().as_bytes();
    assert_eq!(Versioned::from_json(written).expect("what was written"), content);
    let cut = &written[..bytes.len() * 31 % (written.len() - 1)];
    assert!(Versioned::from_json(cut).is_err_and(|error| error.is_damaged()));
}

const REASONS: [&str; 7] = [
    "it is empty",
    "its format is not 1, the one that this program knows",
    "its version is that of a file that was never written",
    "its grant holds no token",
    "it ends too early",
    "it is no JSON",
    "a value is missing, unknown, or of another type than it should be",
];

fn quotes_nothing(error: &StoreError) {
    let text = error.to_string();
    let reason = text.strip_prefix("the stored grant cannot be understood: ").expect("a reason");
    let (reason, place) = reason.split_once(", at line ").unwrap_or((reason, ""));
    assert!(REASONS.contains(&reason), "{text}");
    assert!(place.replace(" column ", "").bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    let shown = format!("StoreError {{ damaged: true, message: {text:?}, source: None }}");
    assert_eq!(format!("{error:?}"), shown);
}
