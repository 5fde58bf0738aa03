//! Any bytes as a stored grant: read, or a clear error that quotes nothing of them; what is read is
//! written again to the last member, and no cut of that can be read. Rules F1, F5, G1.
#![cfg_attr(not(test), no_main)]

use perennial::store::{StoreError, Versioned};
use serde_json::{Value, from_slice};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let content = match Versioned::from_json(bytes) {
        Ok(content) => content,
        Err(error) => return quotes_nothing(&error),
    };
    let text = content.to_json();
    let written = text.expose().as_bytes();
    assert_eq!(from_slice::<Value>(written).ok(), from_slice(bytes).ok().map(in_format_2));
    assert_eq!(Versioned::from_json(written).expect("what was written"), content);
    let cut = &written[..bytes.len() * 31 % (written.len() - 1)];
    assert!(Versioned::from_json(cut).is_err_and(|error| error.is_damaged()));
}

/// Format 1 has no `intent_until` and no `intent_holder`, which mean nothing without an intent.
fn in_format_2(mut content: Value) -> Value {
    content["format"] = 2.into();
    if let Some(grant) = content["grant"].as_object_mut() {
        let has_intent = grant.get("intent").is_some_and(|intent| !intent.is_null());
        for key in ["intent_until", "intent_holder"] {
            let value = grant.entry(key).or_insert(Value::Null);
            if !has_intent {
                *value = Value::Null;
            }
        }
    }
    content
}

const REASONS: &str = "it is empty; it ends too early; it is not JSON; its grant holds no token; \
    its format is neither 1 nor 2, the ones that this program knows; \
    its note of intent is not that of its format; \
    its version is that of a file that was never written; \
    a value is missing, unknown, or of another type than it should be";

fn quotes_nothing(error: &StoreError) {
    let text = error.to_string();
    let reason = text.strip_prefix("the stored grant cannot be understood: ").expect("a reason");
    let (reason, place) = reason.split_once(", at line ").unwrap_or((reason, ""));
    assert!(REASONS.split("; ").any(|known| known == reason), "{text}");
    assert!(place.replace(" column ", "").bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    let shown = format!("{error:?}").replace(&format!("{text:?}"), "");
    assert_eq!(shown, "StoreError { damaged: true, emptied: false, message: , source: None }");
}
