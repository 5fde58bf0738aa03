//! Any answer off the wire: a grant that can be used, or an error of the right kind that quotes nothing
//! of the body; and a refresh token that came is kept, whatever follows it. Rules A4, B6, B14, G1.
#![cfg_attr(not(test), no_main)]

use perennial::lifecycle::Failure;
use perennial::token::Secret;
use perennial::wire::read_answer;
use perennial_fuzz::Answer;

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let answer = Answer::read(bytes);
    let read = |body: &[u8]| read_answer(answer.status, answer.headers.iter().copied(), body);
    let success = (200..300).contains(&answer.status);
    match read(answer.body) {
        Ok(grant) => assert!(success && grant.access_token().or(grant.refresh_token()).is_some()),
        Err(error) => {
            let nothing = read(br#"{"error":"?"}"#).expect_err("there is no token in it");
            assert!(answer.is_not_quoted_by(&error, &nothing), "{error:?}");
            match error.failure() {
                Failure::Unknown => assert!(success || !matches!(answer.status, 100..1000)),
                Failure::Declined => assert!(!matches!(answer.status, 300..400 | 429 | 500..600)),
                Failure::Unavailable { .. } | Failure::Misconfigured { .. } | Failure::Unexplained { .. } => {}
            }
        }
    }
    let follows = answer.body.strip_prefix(b"{").unwrap_or(answer.body);
    let another = follows.contains(&b'\\') || follows.windows(13).any(|it| it == b"refresh_token");
    if success && !another {
        let kept = read(&[br#"{"refresh_token":"rt-1","#, follows].concat()).expect("a half");
        assert_eq!(kept.refresh_token(), Some(&Secret::from("rt-1")));
    }
}
