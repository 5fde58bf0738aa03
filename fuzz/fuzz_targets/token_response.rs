//! Any answer off the wire: a grant whose tokens its bytes hold, or an error of the right kind that
//! quotes nothing of it; a refresh token that came is kept, whatever follows it; and a mark in front of
//! it changes nothing. Rules A4, B6, B14, G1.
#![cfg_attr(not(test), no_main)]

use core::mem::discriminant;

use perennial::lifecycle::Failure;
use perennial::time::{Span, Timestamp};
use perennial::token::{Grant, Secret};
use perennial::wire::read_response;
use perennial_fuzz::{Answer, held};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let answer = Answer::read(bytes);
    let read = |body: &[u8]| read_response(answer.status, answer.headers.iter().copied(), body);
    let (success, redirect) =
        (matches!(answer.status, 200..300), matches!(answer.status, 300..400));
    let told = read(answer.body);
    match &told {
        Ok(grant) => {
            let held = held(answer.body);
            let mut tokens = tokens(grant).into_iter().flatten();
            assert!(!redirect && tokens.all(|token| held.contains(token)), "{:?}", answer.body);
            assert!(grant.access_token().or(grant.refresh_token()).is_some());
        }
        Err(error) => {
            let nothing = read(br#"{"error":"?"}"#).expect_err("there is no token in it");
            assert!(answer.is_not_quoted_by(error, &nothing), "{error:?}");
            match error.failure() {
                Failure::Unknown => assert!(!matches!(answer.status, 300..500)),
                Failure::Declined => assert!(!matches!(answer.status, 300..400 | 429 | 503)),
                Failure::Unexplained { .. } => {
                    assert!(matches!(answer.status, 200..300 | 400..500));
                }
                Failure::Misconfigured { .. } => assert!(!redirect && answer.status != 429),
                Failure::Unavailable { .. } => {}
            }
        }
    }
    let marked = [b"\xEF\xBB\xBF", answer.body].concat();
    if core::str::from_utf8(answer.body).is_ok_and(|body| !body.contains('\0')) {
        match (told, read(&marked)) {
            (Ok(plain), Ok(marked)) => assert_eq!(tokens(&plain), tokens(&marked)),
            (Err(plain), Err(marked)) => {
                let (plain, marked) = (plain.failure(), marked.failure());
                assert!(are_alike(plain, marked), "{plain:?}, and with a mark {marked:?}");
            }
            (plain, marked) => panic!("{plain:?}, and with a mark {marked:?}"),
        }
    }
    let follows = answer.body.strip_prefix(b"{").unwrap_or(answer.body);
    let has = |word: &[u8]| follows.windows(word.len()).any(|it| it == word);
    if success && !follows.contains(&b'\\') && !has(b"token") && !has(b"error") {
        let kept = read(&[br#"{"refresh_token":"rt-1","#, follows].concat()).expect("a half");
        assert_eq!(kept.refresh_token(), Some(&Secret::from("rt-1")));
    }
}

/// Whether they are the same but for a wait until a date, counted from two readings of the clock.
fn are_alike(one: Failure<Timestamp>, other: Failure<Timestamp>) -> bool {
    let wait = |failure| match failure {
        Failure::Misconfigured { retry_after }
        | Failure::Unavailable { retry_after }
        | Failure::Unexplained { retry_after } => retry_after.map(Span::as_millis),
        Failure::Declined | Failure::Unknown => None,
    };
    match (wait(one), wait(other)) {
        (Some(first), Some(second)) => {
            discriminant(&one) == discriminant(&other) && first.abs_diff(second) < 60_000
        }
        (None, None) => one == other,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn tokens(grant: &Grant) -> [Option<&str>; 2] {
    [grant.access_token(), grant.refresh_token()].map(|token| token.map(Secret::expose))
}
