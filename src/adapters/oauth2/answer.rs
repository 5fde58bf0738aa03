//! Receiving a token endpoint's answer, which [`crate::wire`] reads.

use std::prelude::rust_2024::*;

use reqwest::Response;
use secrecy::zeroize::Zeroizing;

use super::not_answered;
use crate::refresh::RefreshError;
use crate::token::Grant;
use crate::wire::Head;

/// How many bytes of an answer are read.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// Receives the answer and makes a grant, or one of three failures, of it.
pub(super) async fn read(response: Response) -> Result<Grant, RefreshError> {
    let headers = response.headers().clone();
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = Head::new(response.status().as_u16(), pairs)?;
    if !head.needs_body() {
        return head.answer(&[], Ok(()));
    }
    let (body, ended) = body(response).await;
    head.answer(&body, ended)
}

/// The body up to the limit, and what kept it from being read to its end.
async fn body(mut response: Response) -> (Zeroizing<Vec<u8>>, Result<(), RefreshError>) {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_LIMIT => {
                let text = format!("the answer is larger than {ANSWER_LIMIT} bytes");
                return (body, Err(RefreshError::unknown(text)));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, Ok(())),
            Err(error) => return (body, Err(not_answered(error, "the answer came in part"))),
        }
    }
}
