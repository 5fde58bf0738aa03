//! The account: each expiry has one refresh, and each further one the kill that explains it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::fleet::Holder;
use crate::holder::Step;
use crate::server::{Seen, TokenRequest};
use crate::{Arguments, Rotation};

/// A kill that came during a refresh.
pub(crate) struct Kill {
    pub(crate) at: Duration,
    pub(crate) holder: u64,
    pub(crate) step: &'static str,
    /// When another holder has sent the same refresh token again.
    pub(crate) repeated: Option<(Duration, u64)>,
    /// Whether the server has revoked the family for that.
    pub(crate) revoked: bool,
}

pub(crate) struct Account {
    pub(crate) expiries: usize,
    pub(crate) refreshes: usize,
    pub(crate) unaccounted: usize,
    pub(crate) kills: usize,
    pub(crate) in_a_refresh: Vec<Kill>,
    pub(crate) families_revoked: u64,
    refusals: u64,
    /// Requests with the grant of a family that was revoked before.
    after_a_revocation: usize,
    /// How often a caller heard that there is no login, after the grant of its process was revoked.
    logged_out: usize,
    failed: usize,
    asked: u64,
    checked: u64,
}

impl Account {
    pub(crate) fn is_good(&self, arguments: &Arguments) -> bool {
        // Under strict rotation no holder can know what a kill has left.
        let lost = match arguments.rotation {
            Rotation::Strict => self.revoked_after_a_kill(),
            Rotation::Idempotent => 0,
        };
        self.expiries >= arguments.expiries
            && self.checked > 0
            && (self.unaccounted, self.failed) == (0, 0)
            && self.families_revoked == lost
            && self.refusals == lost + self.after_a_revocation as u64
    }

    fn revoked_after_a_kill(&self) -> u64 {
        self.in_a_refresh.iter().filter(|kill| kill.revoked).count() as u64
    }

    pub(crate) fn to_json(&self, arguments: &Arguments) -> Value {
        let repeated = self.in_a_refresh.iter().filter(|kill| kill.repeated.is_some()).count();
        json!({
            "processes": arguments.processes,
            "callers": arguments.callers,
            "expiries": self.expiries,
            "refreshes": self.refreshes,
            "refreshes_after_a_kill": repeated,
            "refreshes_after_a_revocation": self.after_a_revocation,
            "unaccounted_refreshes": self.unaccounted,
            "kills": self.kills,
            "kills_in_a_refresh": self.in_a_refresh.len(),
            "asked": self.asked,
            "checked": self.checked,
            "failed": self.failed,
            "refused": self.refusals,
            "logged_out": self.logged_out,
            "families_revoked": self.families_revoked,
            "families_revoked_after_a_kill": self.revoked_after_a_kill(),
        })
    }
}

/// Settles what the server has seen with what the holders have told.
pub(crate) fn settle(arguments: &Arguments, seen: &Seen, holders: &[Holder]) -> Account {
    let requests = seen.requests();
    let mut kills: Vec<_> =
        holders.iter().filter_map(|holder| kill_of(holder, &requests)).collect();
    let mut presented: BTreeMap<&str, Vec<&TokenRequest>> = BTreeMap::new();
    for request in &requests {
        presented.entry(&request.presented).or_default().push(request);
    }
    let mut rotated: Vec<Duration> = presented.values().map(|all| all[0].at).collect();
    rotated.sort_unstable();
    let mut unaccounted = 0;
    for first in presented.values().map(|all| all[0]).filter(|it| it.granted != Some(true)) {
        eprintln!("refused at first: {}", told(first, &[], holders));
        unaccounted += 1;
    }
    let (mut lost, mut after_a_revocation) = (BTreeSet::new(), 0);
    // A token is not due before half its life is over. Its life begins when the request is sent, a little
    // before the server notes it.
    let early = arguments.ttl * 3 / 8;
    for pair in rotated.windows(2).filter(|pair| pair[1] < pair[0] + early) {
        eprintln!(
            "before it was due: {:.2} s after {:.2} s",
            pair[1].as_secs_f64(),
            pair[0].as_secs_f64()
        );
        unaccounted += 1;
    }
    for all in presented.values() {
        let mut is_revoked = false;
        for request in all.iter().skip(1) {
            let is_refused = request.granted != Some(true);
            if is_revoked && is_refused {
                // Each process hears of it by a request of its own.
                after_a_revocation += 1;
                continue;
            }
            // One that presented it as well was killed, and is not the reason of another repetition. Its own
            // request may be the later one, as it was still on its way.
            let reason = kills.iter_mut().find(|kill| {
                let presented =
                    |it: &&TokenRequest| it.holder == kill.holder && is_open(it, holders);
                kill.repeated.is_none() && all.iter().any(presented) && kill.at <= request.at
            });
            if let Some(kill) = reason {
                kill.repeated = Some((request.at, request.holder));
                kill.revoked = is_refused;
            } else {
                eprintln!("no kill explains this: {}", told(request, all, holders));
                unaccounted += 1;
            }
            if is_refused {
                is_revoked = true;
                lost.extend(holders.iter().find(|it| it.id == request.holder).map(|it| it.login));
            }
        }
    }
    // A process on a grant that was revoked.
    let (mut logged_out, mut failed) = (0, holders.iter().map(|it| it.failures.len()).sum());
    for holder in holders {
        if lost.contains(&holder.login) {
            logged_out += holder.logged_out.len();
        } else {
            for text in &holder.logged_out {
                eprintln!("process {}: {text}", holder.id);
            }
            failed += holder.logged_out.len();
        }
    }
    Account {
        expiries: rotated.len(),
        refreshes: requests.len(),
        unaccounted,
        kills: holders.iter().filter(|it| it.killed.is_some()).count(),
        in_a_refresh: kills,
        families_revoked: seen.families_revoked.load(Ordering::SeqCst),
        refusals: seen.refusals.load(Ordering::SeqCst),
        after_a_revocation,
        logged_out,
        failed,
        asked: holders.iter().map(|it| it.asked).sum(),
        checked: holders.iter().map(|it| it.checked).sum(),
    }
}

/// Who has presented this refresh token, and when, and which steps each has told since its lease.
fn told(request: &TokenRequest, all: &[&TokenRequest], holders: &[Holder]) -> String {
    let one = |it: &TokenRequest| {
        let steps = steps_around(it, holders).join(", ");
        format!("{} at {:.3} s ({steps})", it.holder, it.at.as_secs_f64())
    };
    let before: Vec<_> = all.iter().filter(|it| it.at < request.at).map(|it| one(it)).collect();
    format!("process {} has sent what was sent by {}", one(request), before.join(", "))
}

/// The first six steps that a holder has told since it got the lease under which it sent a request.
fn steps_around(request: &TokenRequest, holders: &[Holder]) -> Vec<String> {
    let Some(holder) = holders.iter().find(|it| it.id == request.holder) else { return Vec::new() };
    let begin = holder
        .steps
        .iter()
        .rposition(|(at, step)| *step == Step::Acquired && *at <= request.at)
        .unwrap_or_default();
    let one = |what: &str, at: Duration| format!("{what} {:.3} s", at.as_secs_f64());
    let steps = holder.steps[begin..].iter().take(6).map(|(at, step)| one(step.name(), *at));
    steps.chain(holder.killed.map(|at| one("killed", at))).collect()
}

/// Whether the sender of this request has not told that it has stored a response since.
fn is_open(request: &TokenRequest, holders: &[Holder]) -> bool {
    let sender = holders.iter().find(|holder| holder.id == request.holder);
    sender.is_some_and(|it| {
        !it.steps.iter().any(|(at, step)| *step == Step::Stored && *at > request.at)
    })
}

/// Returns the kill of `holder`, if it came during a refresh.
fn kill_of(holder: &Holder, requests: &[TokenRequest]) -> Option<Kill> {
    let at = holder.killed?;
    let (_, last) = holder.steps.last()?;
    let acquired = holder.steps.iter().rfind(|(_, step)| *step == Step::Acquired);
    let since = acquired.map_or(holder.started, |(at, _)| *at);
    let step = match last {
        Step::Acquired => "the lease is held, nothing is noted",
        Step::Noted => {
            if requests.iter().any(|it| it.holder == holder.id && it.at >= since) {
                "the request is sent, nothing is stored"
            } else {
                "the intent is noted, nothing is sent"
            }
        }
        Step::Stored => "the response is stored, the lease is held",
        Step::Released => return None,
    };
    Some(Kill { at, holder: holder.id, step, repeated: None, revoked: false })
}

/// The kills that came during a refresh, and what followed.
pub(crate) fn table(account: &Account, holders: &[Holder]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["killed at", "process", "during its refresh", "then"]);
    for kill in &account.in_a_refresh {
        let then = match kill.repeated {
            Some((at, by)) => {
                let after = at.saturating_sub(kill.at).as_millis();
                let then = if kill.revoked { ": the server took it for theft" } else { "" };
                format!("{after} ms later process {by} sent the same refresh token{then}")
            }
            None => "nothing was to be repeated".to_owned(),
        };
        let place = holders.iter().find(|it| it.id == kill.holder).map_or(0, |it| it.place + 1);
        let at = format!("{:.2} s", kill.at.as_secs_f64());
        table.add_row([at, format!("{} (place {place})", kill.holder), kill.step.to_owned(), then]);
    }
    table
}
