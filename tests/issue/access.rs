//! Access tokens: whom they stand for, until when, and how they are renewed without a refresh token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perennial::issue::{
    AccessTokens, AuthenticationError, Claims, GrantError, Identity, Login, MintError, Opaque,
    Principal, VerifyError,
};
use perennial::rotation::Policy;
use perennial::store::StoreError;
use perennial::token::Secret;

use super::support::{HOUR, MILLI, Rig, SECOND, block_on, just_before, keys, refresh_token};

#[test]
fn an_access_token_stands_for_its_subject_until_the_millisecond_of_its_expiry() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR));
    let identity = block_on(rig.issuer.authenticate(&login.access_token)).expect("still good");
    assert_eq!((&*identity.subject, &*identity.client), ("alice", "web"));
    assert_eq!(identity.scope.as_deref(), Some("read write"));
    rig.time.advance(MILLI);
    let rejected = block_on(rig.issuer.authenticate(&login.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Expired)), "{rejected:?}");
}

// RFC 6749, section 4.4.3: "A refresh token SHOULD NOT be included."
#[test]
fn a_client_that_acts_for_itself_gets_no_refresh_token() {
    let rig = Rig::new(Policy::default());
    let issued = block_on(rig.issuer.client_credentials("robot", Some("run"))).expect("issued");
    assert_eq!(issued.refresh_token, None);
    let identity = block_on(rig.issuer.authenticate(&issued.access_token)).expect("good");
    assert_eq!((&*identity.subject, &*identity.client), ("robot", "robot"));
    block_on(rig.issuer.revoke("robot", &issued.access_token)).expect("in memory");
    assert!(!rig.works(&issued.access_token));
}

// Rule D5.
#[test]
fn a_lapsed_access_token_is_renewed_within_the_window_and_not_at_its_end() {
    let rig = Rig::with(Policy::default(), |builder| builder.renewal_window(300 * SECOND));
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR + 300 * SECOND));
    assert!(!rig.works(&login.access_token));
    let renewed = block_on(rig.issuer.renew(&login.access_token)).expect("within the window");
    assert_eq!((renewed.refresh_token.clone(), renewed.expires_in), (None, HOUR));
    assert!(rig.works(&renewed.access_token));
    rig.time.advance(MILLI);
    let rejected = block_on(rig.issuer.renew(&login.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Expired)), "{rejected:?}");
    block_on(rig.issuer.revoke_subject("alice")).expect("in memory");
    let rejected = block_on(rig.issuer.renew(&renewed.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Revoked(_))), "{rejected:?}");
}

// Rule D5.
#[test]
fn without_a_window_only_what_is_still_good_is_renewed() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR));
    assert!(block_on(rig.issuer.renew(&login.access_token)).is_ok());
    rig.time.advance(MILLI);
    assert!(block_on(rig.issuer.renew(&login.access_token)).is_err());
}

// Rule D3.
#[test]
fn an_access_token_whose_family_cannot_be_asked_for_is_not_taken_for_good() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    rig.store.set_down(true);
    let rejected = block_on(rig.issuer.authenticate(&login.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Unavailable(_))), "{rejected:?}");
}

/// Opaque tokens, while there is something to sign them with.
struct Signer(Opaque, Arc<AtomicBool>);

impl AccessTokens for Signer {
    fn mint(&self, claims: &Claims, identity: &Identity) -> Result<Secret, MintError> {
        if self.1.load(Ordering::Relaxed) {
            return Err(MintError::Unavailable(StoreError::unreachable(
                "the key is not to be had",
            )));
        }
        self.0.mint(claims, identity)
    }

    fn verify(&self, token: &str) -> Result<(Claims, Principal), VerifyError> {
        self.0.verify(token)
    }
}

#[test]
fn where_nothing_can_be_signed_nothing_rotates() {
    let broken = Arc::new(AtomicBool::new(false));
    let signer = Signer(Opaque::new(keys()), Arc::clone(&broken));
    let rig = Rig::with(Policy::default(), |builder| builder.access_tokens(signer));
    let login = rig.log_in();
    broken.store(true, Ordering::Relaxed);
    let denied = rig.present(&refresh_token(&login));
    assert!(matches!(denied, Err(GrantError::Unavailable(_))), "{denied:?}");
    assert_eq!(rig.store.newest(login.family), 1);
}

// RFC 6749, section 6: a narrower token is no wider at the resource server.
#[test]
fn a_token_for_some_of_the_scope_stands_for_no_more_of_it_also_once_it_is_renewed() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    let token = refresh_token(&login);
    let some = block_on(rig.issuer.refresh("web", &token, Some("read"))).expect("some of it");
    let renewed = block_on(rig.issuer.renew(&some.access_token)).expect("still good");
    for issued in [&some, &renewed] {
        let identity = block_on(rig.issuer.authenticate(&issued.access_token)).expect("good");
        assert_eq!(identity.scope.as_deref(), Some("read"));
        assert_eq!(issued.scope.as_deref(), Some("read"));
    }
    let whole = block_on(rig.issuer.authenticate(&login.access_token)).expect("good");
    assert_eq!(whole.scope.as_deref(), Some("read write"));
}

// Rules D4, D5.
#[test]
fn no_access_token_is_renewed_beyond_the_lifetime_of_its_family() {
    let rig = Rig::new(Policy::default().absolute_lifetime(HOUR));
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR));
    let renewed = block_on(rig.issuer.renew(&login.access_token)).expect("still good");
    rig.time.advance(MILLI);
    let rejected = block_on(rig.issuer.renew(&renewed.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Expired)), "{rejected:?}");
}

/// A login for a scope of so many bytes.
fn of_scope(bytes: usize) -> Login {
    Login::new("web", "alice").scope("x".repeat(bytes))
}

#[test]
fn a_scope_that_no_token_could_hold_begins_no_family() {
    let rig = Rig::new(Policy::default());
    let denied = block_on(rig.issuer.login(of_scope(5000)));
    assert!(matches!(denied, Err(GrantError::InvalidScope)), "{denied:?}");
    assert_eq!(rig.store.len(), 0);
}

// Rule D4. A token that is issued works, however long its scope is.
#[test]
fn the_longest_scope_that_is_issued_is_held_whole_and_no_shorter_one_is_refused() {
    let rig = Rig::new(Policy::default());
    let holds = |bytes| block_on(rig.issuer.login(of_scope(bytes))).is_ok();
    let longest = (0..5000).rev().find(|bytes| holds(*bytes)).expect("some are");
    assert_eq!(longest, 1992, "2 KiB, but for 56 bytes of the token's own");
    let issued = block_on(rig.issuer.login(of_scope(longest))).expect("it holds");
    let identity = block_on(rig.issuer.authenticate(&issued.access_token)).expect("it works");
    assert_eq!(identity.scope.map(|scope| scope.len()), Some(longest));
    assert!((0..longest).step_by(83).all(holds));
}
