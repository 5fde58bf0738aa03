//! Long histories against a second reading of the rules: the model keeps everything that happened,
//! and finds each answer by searching it, in 128-bit arithmetic.

#![expect(clippy::wildcard_enum_match_arm, reason = "where nothing is said, nothing follows")]

use perennial::lease::{Effect, Event, Found, GiveUpReason, Policy, RawPolicy, Term, Turn, apply};
use perennial::time::{Span, Timestamp};
use proptest::prelude::*;

const DEADLINE: i128 = 12;
const TERM: i128 = 30;
const MARGIN: i128 = 14;
const WAIT: i128 = 10;
const POLL: i128 = 2;
const POLL_CAP: i128 = 5;

fn at(instant: i128) -> Timestamp {
    Timestamp::from_millis(i64::try_from(instant).expect("within 64 bits"))
}

fn span(length: i128) -> Span {
    Span::from_millis(u64::try_from(length).expect("not negative"))
}

fn policy() -> Policy {
    Policy::from(RawPolicy {
        refresh_deadline: span(DEADLINE),
        term: span(TERM),
        margin: span(MARGIN),
        wait_limit: span(WAIT),
        poll_base: span(POLL),
        poll_cap: span(POLL_CAP),
    })
}

/// An instant within 64 bits.
fn within(instant: i128) -> i128 {
    instant.clamp(i64::MIN.into(), i64::MAX.into())
}

fn number(instant: Timestamp) -> i128 {
    instant.as_millis().into()
}

fn length(span: Span) -> i128 {
    span.as_millis().into()
}

/// What happened, when, and what was to be done.
#[derive(Copy, Clone, Debug)]
struct Step {
    now: i128,
    event: Event<Timestamp>,
    effect: Effect<Timestamp>,
    /// Whether the holder began its next turn before this.
    anew: bool,
}

/// Everything that happened, the newest last.
#[derive(Default, Debug)]
struct History(Vec<Step>);

/// How far the turn has come, with the place in the history at which it did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Asking,
    Waiting { since: usize },
    Preparing,
    Ready,
    Sent,
    Abandoned,
    Lost,
    Released,
    Over,
}

/// What is left of a term.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Until(i128),
    All,
}

impl History {
    /// Whether what lies at `instant`, or no further than `longest` ahead of any now since `from`, is
    /// over by one of the nows since; else, when it is.
    fn ends(&self, from: usize, instant: i128, longest: i128, now: i128) -> Option<i128> {
        let nows = self.0[from..].iter().map(|step| step.now).chain([now]);
        let mut end = instant;
        for seen in nows {
            if seen >= end {
                return None;
            }
            end = end.min(within(seen + longest));
            if seen >= end {
                return None;
            }
        }
        Some(end)
    }

    fn turn(&self) -> usize {
        self.0.iter().rposition(|step| step.anew).unwrap_or(0)
    }

    /// Where the turn was started.
    fn start(&self) -> Option<usize> {
        let started =
            |at: &usize| matches!(self.0[*at].event, Event::Started { .. }) && self.acquires(*at);
        (self.turn()..self.0.len()).find(started)
    }

    fn acquires(&self, at: usize) -> bool {
        matches!(self.0[at].effect, Effect::Acquire { .. } | Effect::TakeOver { .. })
    }

    /// Where the lease was acquired that the turn has, or had.
    fn acquired(&self) -> Option<usize> {
        let taken = |at: &usize| {
            matches!(self.0[*at].event, Event::Acquired { .. })
                && matches!(
                    self.0[*at].effect,
                    Effect::Prepare { .. } | Effect::Adopt | Effect::GiveUp(_)
                )
        };
        (self.turn()..self.0.len()).rev().find(taken)
    }

    fn stage(&self) -> Stage {
        let mut stage = Stage::Idle;
        for at in self.turn()..self.0.len() {
            let Step { event, effect, .. } = self.0[at];
            let held = matches!(stage, Stage::Preparing | Stage::Ready | Stage::Abandoned);
            stage = match (event, effect) {
                (Event::Finished, _) => Stage::Over,
                (_, Effect::Acquire { .. } | Effect::TakeOver { .. }) => Stage::Asking,
                (_, Effect::Wait { .. }) => Stage::Waiting { since: at },
                (_, Effect::Prepare { .. }) => Stage::Preparing,
                (Event::Acquired { .. }, Effect::Adopt | Effect::GiveUp(_)) => Stage::Abandoned,
                (_, Effect::Send) => Stage::Sent,
                (_, Effect::Lost) => Stage::Lost,
                (Event::TimePassed, Effect::Release { .. }) => Stage::Released,
                (Event::Renewed { .. }, Effect::Release { .. }) => Stage::Lost,
                (Event::Prepared { .. }, Effect::GiveUp(_)) if !held => stage,
                (_, Effect::Adopt | Effect::GiveUp(_)) if held => Stage::Abandoned,
                (_, Effect::Adopt | Effect::GiveUp(_)) => Stage::Over,
                (Event::Prepared { .. }, Effect::Renew { .. } | Effect::Nothing)
                    if stage == Stage::Preparing =>
                {
                    Stage::Ready
                }
                // The store has an older content than before.
                (Event::Renewed { version, .. }, Effect::Nothing)
                    if stage == Stage::Sent
                        && version < self.version_before(at)
                        && self.renewal_before(at).is_some() =>
                {
                    Stage::Lost
                }
                (_, Effect::Nothing | Effect::Release { .. } | Effect::Renew { .. }) => stage,
                (_, Effect::Store { .. } | Effect::StoreUnlessOutpaced { .. }) => stage,
            };
        }
        stage
    }

    /// The greatest version that was acquired, noted or renewed at before `at`.
    fn version_before(&self, at: usize) -> u64 {
        let before = History(self.0[..at].to_vec());
        before.version()
    }

    fn renewal_before(&self, at: usize) -> Option<usize> {
        History(self.0[..at].to_vec()).renewal_out()
    }

    fn version(&self) -> u64 {
        let mut version = 0;
        for (at, step) in self.0.iter().enumerate() {
            let counts = match (step.event, step.effect) {
                (Event::Acquired { fence, .. }, Effect::Prepare { .. } | Effect::Adopt) => fence,
                (Event::Acquired { fence, .. }, Effect::GiveUp(GiveUpReason::TermTooShort)) => {
                    fence
                }
                (Event::Prepared { version: noted }, effect) => {
                    let before = History(self.0[..at].to_vec());
                    let sent = matches!(effect, Effect::Send | Effect::Renew { .. });
                    let awaited = effect == Effect::Nothing && before.stage() != Stage::Sent;
                    let late = matches!(
                        effect,
                        Effect::GiveUp(GiveUpReason::Lost | GiveUpReason::Overdue)
                    ) && matches!(before.stage(), Stage::Preparing | Stage::Ready);
                    if sent || awaited || late { noted } else { 0 }
                }
                (Event::Renewed { version: renewed, .. }, effect) => {
                    let before = History(self.0[..at].to_vec());
                    let awaited = before.holds() && before.renewal_out().is_some();
                    if awaited && effect != Effect::GiveUp(GiveUpReason::WentBack) {
                        renewed
                    } else {
                        0
                    }
                }
                _ => 0,
            };
            version = version.max(counts);
        }
        version
    }

    fn holds(&self) -> bool {
        matches!(self.stage(), Stage::Preparing | Stage::Ready | Stage::Sent | Stage::Abandoned)
    }

    /// Where the store was last asked for the lease.
    fn asked(&self) -> usize {
        (0..self.0.len()).rfind(|at| self.acquires(*at)).expect("it was asked")
    }

    /// When it was asked, by the least now since: none can have been before it.
    fn asked_at(&self, from: usize, now: i128) -> i128 {
        self.0[from..].iter().map(|step| step.now).chain([now]).min().expect("there is one")
    }

    /// Where the term began that runs now, when that was asked for, and how long it is.
    fn term(&self) -> Option<(usize, i128, Term<Timestamp>)> {
        let acquired = self.acquired()?;
        let Event::Acquired { term, .. } = self.0[acquired].event else { return None };
        let before = History(self.0[..acquired].to_vec());
        let asked = before.asked_at(before.asked(), self.0[acquired].now);
        let mut found = (acquired, asked, term);
        for at in acquired + 1..self.0.len() {
            let Event::Renewed { term, version } = self.0[at].event else { continue };
            let before = History(self.0[..at].to_vec());
            if let (true, Some(out)) = (before.holds(), before.renewal_out())
                && version >= before.version()
            {
                found = (at, before.asked_at(out, self.0[at].now), term);
            }
        }
        Some(found)
    }

    /// What is left of the term.
    fn term_left(&self, now: i128) -> Left {
        let Some((from, asked, term)) = self.term() else { return Left::Nothing };
        match term {
            Term::WhileHeld => Left::All,
            Term::For(span) => {
                let end = within(asked + length(span));
                self.ends(from, end, length(span), now).map_or(Left::Nothing, Left::Until)
            }
        }
    }

    /// Where the renewal was asked for that has not come back.
    fn renewal_out(&self) -> Option<usize> {
        let renew = |at: &usize| matches!(self.0[*at].effect, Effect::Renew { .. });
        let asked = (self.turn()..self.0.len()).rfind(renew)?;
        let back = self.0[asked + 1..]
            .iter()
            .any(|step| matches!(step.event, Event::Renewed { .. } | Event::Failed));
        // Asked for under the term that runs now: a lock is not renewed.
        let (_, _, term) = self.term_of(asked)?;
        (!back && term != Term::WhileHeld).then_some(asked)
    }

    fn term_of(&self, at: usize) -> Option<(usize, i128, Term<Timestamp>)> {
        History(self.0[..at].to_vec()).term()
    }

    /// Whether it is time to renew.
    fn renewal_due(&self, now: i128) -> bool {
        let Some((from, asked, Term::For(span))) = self.term() else { return false };
        if self.renewal_out().is_some() {
            return false;
        }
        let failed = (from + 1..self.0.len()).rfind(|at| {
            self.0[*at].event == Event::Failed
                && History(self.0[..*at].to_vec()).renewal_out().is_some()
        });
        match failed {
            None => {
                let half = length(span) / 2;
                self.ends(from, within(asked + half), half, now).is_none()
            }
            Some(at) => {
                let then = self.0[at].now;
                let before = History(self.0[..at].to_vec());
                let Left::Until(end) = before.term_left(then) else { return false };
                let half = (end - then) / 2;
                half > 0 && self.ends(at, within(then + half), half, now).is_none()
            }
        }
    }

    fn deadline_over(&self, now: i128) -> bool {
        let Some(start) = self.start() else { return false };
        let Event::Started { deadline } = self.0[start].event else { return false };
        self.ends(start, number(deadline), DEADLINE, now).is_none()
    }

    /// Whether the other holder was waited for long enough.
    fn limit_over(&self, now: i128) -> bool {
        let Some(start) = self.start() else { return false };
        let limit = within(self.0[start].now + WAIT);
        self.deadline_over(now) || self.ends(start, limit, WAIT, now).is_none()
    }

    fn polls(&self) -> u32 {
        let waits = |step: &&Step| matches!(step.effect, Effect::Wait { .. });
        u32::try_from(self.0[self.turn()..].iter().filter(waits).count()).expect("few")
    }

    /// When the note at this version ends, as all that found it say; `None` once it is over.
    fn note_end(&self, version: u64, now: i128) -> Option<i128> {
        let mut end = i128::MAX;
        let mut from = self.0.len();
        // Only what was found last counts, and before that the same again.
        for at in (0..self.0.len()).rev() {
            let Event::NoteFound { version: found, .. } = self.0[at].event else { continue };
            if !self.looked(at) {
                continue;
            }
            if found != version {
                break;
            }
            from = at;
        }
        for at in from..self.0.len() {
            if let Event::NoteFound { sent, until, .. } = self.0[at].event
                && self.looked(at)
            {
                let (instant, longest) = stated(sent, until);
                end = end.min(self.ends(at, instant, longest, now)?);
            }
        }
        (from < self.0.len()).then_some(end)
    }

    /// Whether the note that was found at `at` was looked at: the store was asked, and not outdated.
    fn looked(&self, at: usize) -> bool {
        let before = History(self.0[..at].to_vec());
        let Event::NoteFound { version, .. } = self.0[at].event else { return false };
        !self.0[at].anew && before.stage() == Stage::Asking && version >= before.version()
    }

    /// Until when the other holder has the lease, if that is known and not over.
    fn theirs(&self, now: i128) -> Option<i128> {
        let told = |at: &usize| {
            matches!(self.0[*at].event, Event::Busy { .. } | Event::NoteFound { .. })
                && matches!(self.0[*at].effect, Effect::Wait { .. } | Effect::TakeOver { .. })
        };
        let at = (self.turn()..self.0.len()).rfind(told)?;
        if let Effect::TakeOver { .. } = self.0[at].effect {
            return None;
        }
        match self.0[at].event {
            Event::Busy { remaining: Some(remaining) } => {
                let length = length(remaining);
                self.ends(at, within(self.0[at].now + length), length, now)
            }
            Event::NoteFound { version, .. } => {
                let upto = History(self.0[..=at].to_vec());
                let end = upto.note_end(version, self.0[at].now)?;
                self.ends(at, end, i128::MAX / 2, now)?;
                self.note_end(version, now)
            }
            _ => None,
        }
    }

    /// What is to be done where another holder has the lease until `end`.
    fn wait(&self, end: Option<i128>, now: i128) -> Effect<Timestamp> {
        if self.limit_over(now) {
            return Effect::GiveUp(GiveUpReason::Busy { until: end.map(at) });
        }
        let start = self.start().expect("it is asked for");
        let Event::Started { deadline } = self.0[start].event else { panic!("it is") };
        let limit = [
            self.ends(start, within(self.0[start].now + WAIT), WAIT, now),
            self.ends(start, number(deadline), DEADLINE, now),
        ];
        let poll = within(now + (POLL << self.polls().min(60)).min(POLL_CAP));
        let until = [Some(poll), end].into_iter().chain(limit).flatten().min();
        Effect::Wait { until: at(until.expect("there is one")) }
    }

    /// The number of the lease that is held, or was.
    fn fence(&self) -> u64 {
        self.acquired().map_or(0, |at| match self.0[at].event {
            Event::Acquired { fence, .. } => fence,
            _ => 0,
        })
    }

    fn expected(&self, event: Event<Timestamp>, now: i128) -> Effect<Timestamp> {
        match event {
            Event::Started { .. }
            | Event::Acquired { .. }
            | Event::Busy { .. }
            | Event::NoteFound { .. } => self.asking(event, now),
            Event::Prepared { .. } | Event::Renewed { .. } => self.sending(event, now),
            _ => self.ending(event, now),
        }
    }

    /// What follows from what the store answers to who asks for the lease.
    fn asking(&self, event: Event<Timestamp>, now: i128) -> Effect<Timestamp> {
        let (stage, version, fence) = (self.stage(), self.version(), self.fence());
        match event {
            Event::Started { .. } if stage == Stage::Idle => Effect::Acquire { term: span(TERM) },
            Event::Acquired { fence: new, term, found } if stage == Stage::Asking => {
                match (found, term) {
                    _ if new < version => Effect::GiveUp(GiveUpReason::WentBack),
                    (Found::Newer, _) => Effect::Adopt,
                    (_, Term::For(span)) if length(span) < MARGIN => {
                        Effect::GiveUp(GiveUpReason::TermTooShort)
                    }
                    (Found::Unchanged, _) => Effect::Prepare { intent: None },
                    (Found::Note { sent }, _) => {
                        Effect::Prepare { intent: Some(at(number(sent).min(now))) }
                    }
                }
            }
            Event::Acquired { fence: new, .. } if self.holds() && new == fence => Effect::Nothing,
            Event::Acquired { fence, .. } => Effect::Release { fence },
            Event::Busy { remaining } if stage == Stage::Asking => {
                let end = remaining.map(|remaining| within(now + length(remaining)));
                self.wait(end.filter(|end| *end > now), now)
            }
            Event::NoteFound { version: found, sent, until } if stage == Stage::Asking => {
                if found < version {
                    return Effect::GiveUp(GiveUpReason::WentBack);
                }
                let (instant, longest) = stated(sent, until);
                let fresh = self.ends(self.0.len(), instant, longest, now);
                let end = if self.seen(found) {
                    fresh.and_then(|end| Some(self.note_end(found, now)?.min(end)))
                } else {
                    fresh
                };
                match end {
                    Some(end) if found > version => self.wait(Some(end), now),
                    _ if self.deadline_over(now) => Effect::GiveUp(GiveUpReason::Overdue),
                    _ => Effect::TakeOver { after: found, term: span(TERM) },
                }
            }
            _ => Effect::Nothing,
        }
    }

    /// What follows once the lease is held, before the request is sent.
    fn sending(&self, event: Event<Timestamp>, now: i128) -> Effect<Timestamp> {
        let (stage, version, fence) = (self.stage(), self.version(), self.fence());
        let renew = Effect::Renew { fence, term: span(TERM) };
        let lost = self.holds() && self.term_left(now) == Left::Nothing;
        match event {
            Event::Prepared { version: noted } => match stage {
                Stage::Sent => Effect::Nothing,
                Stage::Preparing | Stage::Ready => {
                    if noted < version {
                        return Effect::GiveUp(GiveUpReason::WentBack);
                    }
                    match self.term_left(now) {
                        Left::Nothing => Effect::GiveUp(GiveUpReason::Lost),
                        _ if self.deadline_over(now) => Effect::GiveUp(GiveUpReason::Overdue),
                        Left::All => Effect::Send,
                        Left::Until(end) if end - now >= MARGIN => Effect::Send,
                        Left::Until(_) if self.renewal_out().is_some() => Effect::Nothing,
                        Left::Until(_) => renew,
                    }
                }
                _ => Effect::GiveUp(GiveUpReason::Lost),
            },
            Event::Renewed { .. } if stage == Stage::Lost => Effect::Release { fence },
            Event::Renewed { term, version: renewed } => {
                let Some(out) = self.renewal_out().filter(|_| self.holds()) else {
                    return Effect::Nothing;
                };
                if renewed < version {
                    return match stage {
                        Stage::Sent | Stage::Abandoned => Effect::Nothing,
                        _ => Effect::GiveUp(GiveUpReason::WentBack),
                    };
                }
                let left = match term {
                    Term::WhileHeld => i128::MAX,
                    Term::For(span) => {
                        within(self.asked_at(out, now) + length(span))
                            .min(within(now + length(span)))
                            - now
                    }
                };
                match stage {
                    Stage::Sent if lost => Effect::Release { fence },
                    Stage::Preparing | Stage::Ready if lost => Effect::GiveUp(GiveUpReason::Lost),
                    Stage::Ready if self.deadline_over(now) => {
                        Effect::GiveUp(GiveUpReason::Overdue)
                    }
                    Stage::Ready if left >= MARGIN => Effect::Send,
                    Stage::Ready => Effect::GiveUp(GiveUpReason::TermTooShort),
                    _ => Effect::Nothing,
                }
            }
            _ => Effect::Nothing,
        }
    }

    /// What follows from all else.
    fn ending(&self, event: Event<Timestamp>, now: i128) -> Effect<Timestamp> {
        let (stage, version, fence) = (self.stage(), self.version(), self.fence());
        let acquire = Effect::Acquire { term: span(TERM) };
        let renew = Effect::Renew { fence, term: span(TERM) };
        let lost = self.holds() && self.term_left(now) == Left::Nothing;
        let unsent = matches!(stage, Stage::Preparing | Stage::Ready);
        match event {
            Event::NewerFound => match stage {
                Stage::Idle | Stage::Asking | Stage::Waiting { .. } => Effect::Adopt,
                Stage::Preparing | Stage::Ready => Effect::Adopt,
                Stage::Sent | Stage::Abandoned | Stage::Lost | Stage::Released | Stage::Over => {
                    Effect::Nothing
                }
            },
            Event::Changed if matches!(stage, Stage::Waiting { .. }) => acquire,
            Event::Changed => Effect::Nothing,
            Event::Outpaced => match stage {
                Stage::Asking if self.limit_over(now) => {
                    Effect::GiveUp(GiveUpReason::Busy { until: self.theirs(now).map(at) })
                }
                Stage::Asking => acquire,
                Stage::Preparing | Stage::Ready => Effect::GiveUp(GiveUpReason::Lost),
                Stage::Sent => Effect::Lost,
                _ => Effect::Nothing,
            },
            Event::Failed if matches!(stage, Stage::Asking | Stage::Ready) => {
                Effect::GiveUp(GiveUpReason::Unreachable)
            }
            Event::Failed => Effect::Nothing,
            Event::Answered if stage == Stage::Sent && !lost => Effect::Store { after: version },
            Event::Answered => Effect::StoreUnlessOutpaced { after: version },
            Event::Finished if self.holds() || stage == Stage::Lost => Effect::Release { fence },
            Event::Finished => Effect::Nothing,
            Event::TimePassed => match stage {
                Stage::Asking | Stage::Waiting { .. } if self.limit_over(now) => {
                    Effect::GiveUp(match self.polls() {
                        0 => GiveUpReason::Unreachable,
                        _ => GiveUpReason::Busy { until: self.theirs(now).map(at) },
                    })
                }
                Stage::Waiting { since } if self.poll_due(since, now) => acquire,
                Stage::Sent if lost => Effect::Lost,
                Stage::Sent if self.deadline_over(now) => Effect::Release { fence },
                _ if unsent && lost => Effect::GiveUp(GiveUpReason::Lost),
                _ if unsent && self.deadline_over(now) => Effect::GiveUp(GiveUpReason::Overdue),
                _ if (unsent || stage == Stage::Sent) && self.renewal_due(now) => renew,
                _ => Effect::Nothing,
            },
            _ => Effect::Nothing,
        }
    }

    /// Whether the newest note that was looked at is at this version.
    fn seen(&self, version: u64) -> bool {
        let looked = (0..self.0.len()).rfind(|at| self.looked(*at));
        looked.is_some_and(
            |at| matches!(self.0[at].event, Event::NoteFound { version: found, .. } if found == version),
        )
    }

    /// Whether the wait that began at `since` is over.
    fn poll_due(&self, since: usize, now: i128) -> bool {
        let before = History(self.0[..since].to_vec());
        let interval = (POLL << before.polls().min(60)).min(POLL_CAP);
        let began = self.0[since].now;
        // Or the other holder's lease ends sooner.
        let told = History(self.0[..=since].to_vec());
        let end = told.theirs(began).unwrap_or(i128::MAX);
        self.ends(since, within(began + interval).min(end), interval, now).is_none()
    }
}

/// When a note ends by what it states, and how far ahead that can be.
fn stated(sent: Timestamp, until: Option<Timestamp>) -> (i128, i128) {
    match until {
        Some(until) => (number(until), TERM),
        None => (within(number(sent) + DEADLINE), DEADLINE),
    }
}

/// What happens, with instants as distances from now, versions from the newest.
#[derive(Copy, Clone, Debug)]
enum What {
    Started(i128),
    Acquired(u64, Term<Timestamp>, Option<i128>, bool),
    Busy(Option<i128>),
    Note(u64, i128, Option<i128>),
    Prepared(u64),
    Renewed(Term<Timestamp>, u64),
    Plain(Event<Timestamp>),
    Anew,
}

fn terms() -> impl Strategy<Value = Term<Timestamp>> {
    prop_oneof![
        1 => Just(Term::WhileHeld),
        6 => Just(Term::For(span(TERM))),
        2 => (0..2 * TERM).prop_map(|length| Term::For(span(length))),
    ]
}

/// Mostly one more than the newest, sometimes the same, seldom less.
fn versions() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(2_u64), 2 => Just(1_u64), 1 => Just(0_u64)]
}

fn whats() -> impl Strategy<Value = What> {
    let plain = |event| Just(What::Plain(event));
    prop_oneof![
        4 => (DEADLINE - 2..DEADLINE + 3).prop_map(What::Started),
        6 => (versions(), terms(), prop::option::weighted(0.3, -5..5_i128), prop::bool::weighted(0.05))
            .prop_map(|(version, term, note, newer)| What::Acquired(version, term, note, newer)),
        4 => prop::option::of(0..20_i128).prop_map(What::Busy),
        4 => (versions(), -DEADLINE..3_i128, prop::option::of(-2..2 * TERM))
            .prop_map(|(version, sent, until)| What::Note(version, sent, until)),
        6 => versions().prop_map(What::Prepared),
        4 => (terms(), versions()).prop_map(|(term, version)| What::Renewed(term, version)),
        1 => plain(Event::NewerFound),
        1 => plain(Event::Outpaced),
        2 => plain(Event::Changed),
        2 => plain(Event::Failed),
        2 => plain(Event::Answered),
        1 => plain(Event::Finished),
        10 => plain(Event::TimePassed),
        2 => Just(What::Anew),
    ]
}

fn step() -> impl Strategy<Value = (What, i128)> {
    let later = prop_oneof![
        8 => Just(0_i128),
        8 => 1..4_i128,
        2 => 4..TERM,
        1 => -20..0_i128,
    ];
    (whats(), later)
}

proptest! {
    // Rules A1, A5, F3, F4.
    #[test]
    fn no_history_of_turns_goes_otherwise_than_a_search_of_all_that_happened(
        first in prop_oneof![
            6 => Just(0_i128),
            1 => Just(i128::from(i64::MAX) - 25),
            1 => Just(i128::from(i64::MIN) + 25),
        ],
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let policy = policy();
        let mut turn = Turn::new();
        let mut history = History::default();
        let mut now = first;
        let mut anew = false;
        for (what, later) in steps {
            now = within(now + later);
            let version = |number: u64| (turn.version() + number).saturating_sub(1);
            let event = match what {
                What::Anew => {
                    turn = turn.next_turn();
                    anew = true;
                    continue;
                }
                What::Started(deadline) => Event::Started { deadline: at(within(now + deadline)) },
                What::Acquired(number, term, note, newer) => Event::Acquired {
                    fence: version(number),
                    term,
                    found: match note {
                        _ if newer => Found::Newer,
                        Some(sent) => Found::Note { sent: at(within(now + sent)) },
                        None => Found::Unchanged,
                    },
                },
                What::Busy(remaining) => Event::Busy { remaining: remaining.map(span) },
                What::Note(number, sent, until) => Event::NoteFound {
                    version: version(number),
                    sent: at(within(now + sent)),
                    until: until.map(|until| at(within(now + until))),
                },
                What::Prepared(number) => Event::Prepared { version: version(number) },
                What::Renewed(term, number) => Event::Renewed { term, version: version(number) },
                What::Plain(event) => event,
            };
            if anew {
                // A search must see that the turn is a new one before the event comes.
                history.0.push(Step { now, event: Event::Changed, effect: Effect::Nothing, anew });
                turn = apply(&policy, turn, Event::Changed, at(now)).0;
                anew = false;
            }
            let expected = history.expected(event, now);
            let (next, effect) = apply(&policy, turn, event, at(now));
            prop_assert_eq!(effect, expected, "{:?} at {} after {:?}", event, now, &history.0);
            turn = next;
            history.0.push(Step { now, event, effect, anew: false });
            prop_assert_eq!(turn.version(), history.version(), "{:?} at {} after {:?}", event, now, &history.0);
        }
    }
}
