//! What an issuer tells of what it does.

use std::sync::{Arc, Mutex};

use perennial::events::{Event, EventKind, IssuerEvent, IssuerOutcome};
use perennial::issue::{FamilyId, Issuer, IssuerBuilder};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;

use super::support::{HOUR, Rig, START, WINDOW, Watched, block_on, keys, refresh_token};

/// What was told, as it shows.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn by(
        &self,
        show: fn(&IssuerEvent) -> String,
        builder: IssuerBuilder<Watched>,
    ) -> IssuerBuilder<Watched> {
        let told = self.clone();
        builder.on_event(move |event| {
            told.0.lock().expect("no panic").push(show(notice(event)));
        })
    }

    /// All of it, and from now on only what is new.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// What an event of an issuer holds.
fn notice(event: &Event) -> &IssuerEvent {
    let EventKind::Issuer(notice) = &event.kind else { panic!("an issuer reports {event:?}") };
    notice
}

fn telling(policy: Policy, show: fn(&IssuerEvent) -> String) -> (Rig, Told) {
    let told = Told::default();
    (Rig::with(policy, |builder| told.by(show, builder.renewal_window(HOUR))), told)
}

fn line(notice: &IssuerEvent) -> String {
    notice.to_string()
}

/// The lines, in which the family is called F.
fn named(lines: Vec<String>, family: FamilyId) -> Vec<String> {
    let short = &family.to_string()[..8];
    lines.into_iter().map(|line| line.replace(short, "F")).collect()
}

#[test]
fn what_is_issued_is_told_once_with_its_family_and_its_numbers() {
    let (rig, told) = telling(Policy::new(Reuse::idempotent(WINDOW)), line);
    let login = rig.log_in();
    let first = refresh_token(&login);
    let second = rig.present(&first).expect("it works");
    rig.present(&first).expect("it is repeated");
    block_on(rig.issuer.renew(&second.access_token)).expect("it is good");
    block_on(rig.issuer.revoke("web", &login.access_token)).expect("the store works");
    let expected = [
        "login: client web, subject alice, family F, refresh token 1",
        "refresh: client web, family F, refresh token 1, succeeded by 2",
        "refresh repeated: client web, family F, refresh token 1, succeeded by 2",
        "access renewed: client web, family F, refresh token 2",
        "revoked: client web, family F, refresh token 1",
    ];
    assert_eq!(named(told.take(), login.family), expected);

    let own = block_on(rig.issuer.client_credentials("robot", None)).expect("it works");
    let expected = ["client credentials: client robot, family F"];
    assert_eq!(named(told.take(), own.family), expected);

    let (rig, told) = telling(Policy::new(Reuse::overlap_successors(WINDOW)), line);
    let login = rig.log_in();
    rig.present(&refresh_token(&login)).expect("it works");
    told.take();
    rig.present(&refresh_token(&login)).expect("it is tolerated");
    let expected = ["refresh repeated: client web, family F, refresh token 1, succeeded by 2"];
    assert_eq!(named(told.take(), login.family), expected);

    let (rig, told) = telling(Policy::new(Reuse::overlap_access_only(WINDOW)), line);
    let login = rig.log_in();
    rig.present(&refresh_token(&login)).expect("it works");
    told.take();
    rig.present(&refresh_token(&login)).expect("it is tolerated");
    let expected = ["access renewed: client web, family F, refresh token 1"];
    assert_eq!(named(told.take(), login.family), expected);
}

#[test]
fn what_is_denied_is_told_with_the_reason_that_its_client_is_not_told() {
    let (rig, told) = telling(Policy::new(Reuse::Strict), line);
    let login = rig.log_in();
    let first = refresh_token(&login);
    let present = |client: &str, scope| {
        block_on(rig.issuer.refresh(client, &first, scope)).expect_err("it is denied");
    };
    told.take();
    present("other", None);
    present("web", Some("all"));
    rig.store.set_down(true);
    present("web", None);
    rig.store.set_down(false);
    let expected = [
        "refused: client other, family F, refresh token 1: the refresh token was issued to another client",
        "refused: client web, family F, refresh token 1: the scope exceeds what was granted, or what a token can hold",
        "unavailable: client web, family F, refresh token 1: it is down",
    ];
    assert_eq!(named(told.take(), login.family), expected);
    rig.present(&first).expect("it works");
    told.take();
    present("web", None);
    present("web", None);
    rig.refused(&Secret::from("x"));
    // A token that does not work is none to revoke.
    block_on(rig.issuer.revoke("web", &Secret::from("x"))).expect("the store works");
    block_on(rig.issuer.revoke("other", &first)).expect("the store works");
    let elsewhere = Issuer::builder(keys(), Watched::default());
    let elsewhere = told.by(line, elsewhere).build();
    block_on(elsewhere.refresh("web", &first, None)).expect_err("its family is not there");
    let expected = [
        "reuse: client web, family F, refresh token 1: the refresh token was used before, and its family was revoked for that",
        "refused: client web, family F, refresh token 1: the refresh token does not work: Revoked",
        "refused: client web: not a refresh token of this issuer",
        "refused: client web, family F, refresh token 1: the family of the refresh token is not known",
    ];
    assert_eq!(named(told.take(), login.family), expected);
}

// Rule D1.
#[test]
fn a_rotation_is_claimed_before_it_is_told() {
    let (kept, seen) = (Watched::default(), Arc::<Mutex<Vec<(u64, u64)>>>::default());
    let (store, pairs) = (kept.clone(), Arc::clone(&seen));
    let hook = move |event: &Event| {
        let notice = notice(event);
        if let IssuerOutcome::Refreshed { successor } = notice.outcome {
            assert_eq!(event.at, START);
            let newest = store.newest(notice.family.expect("it is known"));
            pairs.lock().expect("no panic").push((successor, newest));
        }
    };
    let rig = Rig::on(kept, Policy::default(), |builder| builder.on_event(hook));
    rig.present(&refresh_token(&rig.log_in())).expect("it works");
    assert_eq!(*seen.lock().expect("no panic"), [(2, 2)]);
}

// Rule G1.
#[test]
fn no_notice_shows_a_token_however_it_is_shown() {
    let (rig, told) =
        telling(Policy::default(), |notice| format!("{notice} {notice:?} {notice:#?}"));
    let login = rig.log_in();
    let first = refresh_token(&login);
    let second = rig.present(&first).expect("it works");
    let third = rig.present(&refresh_token(&second)).expect("it works");
    rig.refused(&first);
    rig.refused(&Secret::from("prt1_made-up"));
    block_on(rig.issuer.revoke("web", &third.access_token)).expect("the store works");
    let told = told.take();
    assert_eq!(told.len(), 5, "what is revoked already is not told again");
    let shown = told.join("\n");
    let access = [&login, &second, &third].map(|issued| issued.access_token.clone());
    let refresh = [&login, &second, &third].map(refresh_token);
    for token in access.iter().chain(&refresh).chain([&Secret::from("prt1_made-up")]) {
        let (_, token) = token.expose().split_once('_').expect("a form");
        let (start, end) = token.split_at(token.len() / 2);
        assert!(!shown.contains(start) && !shown.contains(end), "{token} in {shown}");
    }
}

// Rule D1. What has rotated is answered, or its client would present a spent token next.
#[test]
fn a_hook_that_panics_costs_no_grant() {
    let panics = |builder: IssuerBuilder<Watched>| builder.on_event(|_| panic!("planned"));
    let rig = Rig::with(Policy::new(Reuse::Strict), panics);
    let login = rig.log_in();
    let next = rig.present(&refresh_token(&login)).expect("it is told nobody");
    assert!(rig.present(&refresh_token(&next)).is_ok());
}
