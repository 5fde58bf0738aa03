//! An authorization server of several processes: each an issuer with a store of its own.

use std::sync::Arc;

use perennial::issue::{FamilyStore, GrantError, Issuer, Keys, Login};
use perennial::rotation::{Policy, Reuse};

/// Of many processes that are presented one refresh token at once, each rotation is done by one, and
/// no token is lost.
pub(crate) async fn many_processes_rotate_each_token_once<S: FamilyStore>(open: impl Fn() -> S) {
    let issuers: Vec<_> = (0..4)
        .map(|_| {
            let keys = Keys::new([7; 32]).expect("it is long enough");
            Arc::new(Issuer::builder(keys, open()).policy(Policy::new(Reuse::Strict)).build())
        })
        .collect();
    let login = issuers[0].login(Login::new("web", "alice")).await.expect("the server is well");
    let mut presented = login.refresh_token.expect("there is one");
    for issuer in issuers.iter().cycle().take(8) {
        let next = issuer.refresh("web", &presented, None).await.expect("it is the newest");
        presented = next.refresh_token.expect("there is one");
    }
    let all = issuers.iter().map(|issuer| {
        let (issuer, presented) = (Arc::clone(issuer), presented.clone());
        tokio::spawn(async move { issuer.refresh("web", &presented, None).await })
    });
    let mut rotated = 0;
    for one in all.collect::<Vec<_>>() {
        match one.await.expect("no panic") {
            Ok(_) => rotated += 1,
            Err(GrantError::InvalidGrant(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(rotated, 1, "of those that present one token at once one gets the next");
    // A spent token was presented, so that the family is revoked, for each process.
    for issuer in &issuers {
        let again = issuer.refresh("web", &presented, None).await;
        assert!(matches!(again, Err(GrantError::InvalidGrant(_))), "{again:?}");
    }
}
