//! The server machine alone: every event at every order of instants, against what the rules of part D
//! make of all that was told, kept as few facts by code of its own.

use std::hash::{Hash, Hasher};

use perennial::lifecycle;
use perennial::rotation::{
    Effect, Event, Family, Policy, RawPolicy, RefusalReason, Reuse, State as View, Tolerance, apply,
};

use crate::runner::{Scenario, Set, Step};
use crate::sentences::sentences;
use crate::tick::Tick;

const WINDOW: u8 = 3;
const USES: u32 = 2;
const IDLE: u8 = 6;
const ABSOLUTE: u8 = 10;
/// The furthest that the clock goes back behind where it has been.
const BACK: u8 = 2;
/// Instants further back are not told apart.
const PAST: i16 = 14;

sentences! {
    Rule {
        Answers = "D1, D2: who presents a token is answered as the policy says of all that was told",
        Reveals = "D3: reuse that is not tolerated revokes, and reuse that is tolerated does not",
        ForGood = "D3: a revoked family stays so, and says no more than that",
        Lifetimes = "D4: a family that has outlived itself refuses, and no other does for that",
        Numbers = "D1: numbers grow by one, where a successor is issued and nowhere else",
        Shown = "A5: what some now has shown of an overlap, no later now takes back",
        Seen = "what the family looks like is what was told of it",
    }
}

sentences! {
    Corner {
        Issues = "a successor is issued",
        Repeats = "the same successor is given again",
        Siblings = "another token of the newest number is issued",
        Renews = "an access token alone is renewed",
        Reuse = "reuse revokes the family",
        Older = "a token older than the predecessor revokes the family",
        TooOften = "a predecessor is presented too often",
        Unknown = "a token that was never issued is presented",
        Expired = "the family has outlived itself",
        AfterRevocation = "a token of a revoked family is presented",
        Confirms = "the use of the successor ends the predecessor",
        Closes = "an overlap closes by time",
        PulledIn = "the clock goes back, and an overlap is pulled in",
        Told = "the family is revoked by its owner",
    }
}

/// What was told, in few facts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct History {
    began: Tick,
    used: Tick,
    newest: u64,
    /// Until when the predecessor is tolerated, at the latest, and how often it was.
    tolerated: Option<(Tick, u32)>,
    /// Nobody has used what came with the newest token.
    unconfirmed: bool,
    revoked: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    family: Family<Tick>,
    history: History,
    now: Tick,
    /// How far the clock is behind where it has been.
    behind: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let ago = |then: Tick| (then.0 - self.now.0).max(-PAST);
        let row = self.family.to_row();
        let tolerance = match row.tolerance {
            Tolerance::Closed => None,
            Tolerance::Unconfirmed => Some(None),
            Tolerance::Open { until, uses } => Some(Some((ago(until), uses))),
        };
        // Of a first token there are no older ones.
        (ago(row.began), ago(row.used), row.newest.min(3), tolerance, row.revoked).hash(hasher);
        let History { began, used, tolerated, unconfirmed, revoked, .. } = self.history;
        (ago(began), ago(used), tolerated.map(|(until, uses)| (ago(until), uses))).hash(hasher);
        (unconfirmed, revoked, self.behind).hash(hasher);
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tell(Event),
    Forward(u8),
    Back,
}

/// The five policies, by what clients declare for them.
pub(crate) const KINDS: [(&str, lifecycle::Reuse<Tick>); 5] = [
    ("strict", lifecycle::Reuse::Strict),
    ("overlap-access-only", lifecycle::Reuse::OverlapAccessOnly(WINDOW)),
    ("overlap-successors", lifecycle::Reuse::OverlapSuccessors(WINDOW)),
    ("idempotent", lifecycle::Reuse::Idempotent(WINDOW)),
    ("confirm-by-use", lifecycle::Reuse::ConfirmByUse),
];

/// The server machine under one policy.
#[derive(Debug)]
pub(crate) struct Rotation {
    policy: Policy<Tick>,
    reuse: Reuse<Tick>,
}

/// The server that the client's policy is declared for, where its refresh tokens rotate.
pub(crate) fn of(declared: lifecycle::Reuse<Tick>) -> Option<Rotation> {
    let reuse = match declared {
        lifecycle::Reuse::Strict => Reuse::Strict,
        lifecycle::Reuse::OverlapAccessOnly(_) => {
            Reuse::OverlapAccessOnly { window: WINDOW, uses: USES }
        }
        lifecycle::Reuse::OverlapSuccessors(_) => {
            Reuse::OverlapSuccessors { window: WINDOW, uses: USES }
        }
        lifecycle::Reuse::Idempotent(_) => Reuse::Idempotent { window: WINDOW, uses: USES },
        lifecycle::Reuse::ConfirmByUse => Reuse::ConfirmByUse,
        lifecycle::Reuse::Unrotated => return None,
    };
    let policy = RawPolicy { reuse, absolute: Some(ABSOLUTE), idle: Some(IDLE) };
    Some(Rotation { policy: policy.into(), reuse })
}

impl History {
    /// What `now` shows of the overlap stays shown, and one that lies further ahead than it is long is
    /// pulled in.
    fn notice(&mut self, now: Tick) {
        let open = self.tolerated.filter(|(until, _)| now < *until);
        self.tolerated = open.map(|(until, uses)| (until.min(now.plus(WINDOW)), uses));
    }

    fn has_expired(&self, now: Tick) -> bool {
        now >= self.began.plus(ABSOLUTE) || now >= self.used.plus(IDLE)
    }

    /// The answer, and what there is to know afterwards.
    fn told(&mut self, reuse: Reuse<Tick>, event: Event, now: Tick) -> Effect {
        self.notice(now);
        let number = match event {
            Event::Confirmed { number } => {
                self.unconfirmed &= self.revoked || number != self.newest;
                return Effect::Nothing;
            }
            Event::Revoked => {
                self.revoked = true;
                return Effect::RevokeFamily;
            }
            Event::Presented { number } => number,
        };
        let back = self.newest.checked_sub(number).filter(|_| number > 0);
        match back {
            _ if self.revoked => Effect::Refuse(RefusalReason::Revoked),
            _ if self.has_expired(now) => Effect::Refuse(RefusalReason::Expired),
            None => Effect::Refuse(RefusalReason::Unknown),
            Some(0) => {
                self.newest += 1;
                self.used = now;
                let windowed = !matches!(reuse, Reuse::Strict | Reuse::ConfirmByUse);
                self.tolerated = windowed.then(|| (now.plus(WINDOW), 0));
                self.unconfirmed = reuse == Reuse::ConfirmByUse;
                Effect::IssueSuccessor { number: self.newest }
            }
            Some(1) if self.unconfirmed => {
                self.used = now;
                Effect::RepeatSuccessor { number: self.newest }
            }
            Some(1) => match &mut self.tolerated {
                Some((_, uses)) if *uses >= USES => Effect::Refuse(RefusalReason::TooOften),
                Some((_, uses)) => {
                    *uses += 1;
                    self.used = now;
                    match reuse {
                        Reuse::OverlapAccessOnly { .. } => Effect::RenewAccess,
                        Reuse::OverlapSuccessors { .. } => {
                            Effect::IssueSibling { number: self.newest, sibling: *uses }
                        }
                        Reuse::Strict | Reuse::Idempotent { .. } | Reuse::ConfirmByUse => {
                            Effect::RepeatSuccessor { number: self.newest }
                        }
                    }
                }
                None => {
                    self.revoked = true;
                    Effect::RevokeFamily
                }
            },
            Some(_) => {
                self.revoked = true;
                Effect::RevokeFamily
            }
        }
    }

    fn view(&self, now: Tick) -> View {
        let mut seen = *self;
        seen.notice(now);
        if seen.revoked {
            View::Revoked
        } else if seen.has_expired(now) {
            View::Expired
        } else if seen.tolerated.is_some() || seen.unconfirmed {
            View::Rotated
        } else {
            View::Active
        }
    }
}

impl Scenario for Rotation {
    type State = State;
    type Action = Action;

    fn rules(&self) -> &'static [&'static str] {
        Rule::ALL
    }

    fn corners(&self) -> &'static [&'static str] {
        Corner::ALL
    }

    fn possible(&self) -> Set {
        let all = (1 << Corner::ALL.len()) - 1;
        let window = Corner::TooOften.set() | Corner::Closes.set() | Corner::PulledIn.set();
        let (repeats, renews) = (Corner::Repeats.set(), Corner::Renews.set());
        let (siblings, confirms) = (Corner::Siblings.set(), Corner::Confirms.set());
        match self.reuse {
            Reuse::Strict => all & !(window | repeats | siblings | renews | confirms),
            Reuse::OverlapAccessOnly { .. } => all & !(repeats | siblings | confirms),
            Reuse::OverlapSuccessors { .. } => all & !(repeats | renews | confirms),
            Reuse::Idempotent { .. } => all & !(siblings | renews | confirms),
            Reuse::ConfirmByUse => all & !(window | siblings | renews),
        }
    }

    fn start(&self) -> State {
        let now = Tick(0);
        let history = History {
            began: now,
            used: now,
            newest: 1,
            tolerated: None,
            unconfirmed: false,
            revoked: false,
        };
        State { family: Family::new(now), history, now, behind: 0 }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Forward(1), Action::Forward(4)]);
        if state.behind < BACK {
            actions.push(Action::Back);
        }
        let newest = state.family.newest();
        let numbers = [0, newest.saturating_sub(2), newest.saturating_sub(1), newest, newest + 1];
        for (place, number) in numbers.into_iter().enumerate() {
            // Of the first tokens there are fewer older ones.
            if numbers[..place].contains(&number) {
                continue;
            }
            actions.push(Action::Tell(Event::Presented { number }));
            actions.push(Action::Tell(Event::Confirmed { number }));
        }
        actions.push(Action::Tell(Event::Revoked));
    }

    fn step(&self, state: &State, action: Action, _: Set) -> Step<State> {
        let (mut next, mut broken, mut corners) = (*state, 0, 0);
        match action {
            Action::Forward(by) => {
                next.now = state.now.plus(by);
                next.behind = state.behind.saturating_sub(by);
            }
            Action::Back => {
                next.now = state.now.minus(1);
                next.behind += 1;
            }
            Action::Tell(event) => {
                let (family, effect) = apply(&self.policy, state.family, event, state.now);
                let expected = next.history.told(self.reuse, event, state.now);
                next.family = family;
                broken |= judged(state, event, effect, expected, &family);
                corners |= reached(state, event, effect, &next.history);
            }
        }
        Step { next, broken, corners }
    }

    fn judge(&self, state: &State) -> Set {
        // Now, and around the instants at which it looks otherwise.
        let looks = [-2, -1, 0, 1, 3, 6, 10].into_iter().all(|by| {
            let then = Tick(state.now.0 + by);
            state.family.state(&self.policy, then) == state.history.view(then)
        });
        let ends = state.history.began.plus(ABSOLUTE).min(state.history.used.plus(IDLE));
        Rule::Seen.when(!looks)
            | Rule::Lifetimes.when(state.family.ends_at(&self.policy) != Some(ends))
    }
}

fn judged(
    before: &State,
    event: Event,
    found: Effect,
    expected: Effect,
    after: &Family<Tick>,
) -> Set {
    let of_life = |effect: Effect| effect == Effect::Refuse(RefusalReason::Expired);
    let revokes = |effect: Effect| effect == Effect::RevokeFamily;
    let wrong = found != expected;
    let for_good = !before.history.revoked || after.is_revoked();
    let grown = after.newest() - before.family.newest();
    let issued = matches!(found, Effect::IssueSuccessor { .. });
    let rule = match event {
        _ if of_life(found) != of_life(expected) => Rule::Lifetimes,
        _ if before.history.revoked => Rule::ForGood,
        _ if revokes(found) != revokes(expected) => Rule::Reveals,
        Event::Presented { .. } | Event::Confirmed { .. } | Event::Revoked => Rule::Answers,
    };
    // Once closed, an overlap stays so until the next successor; none lies further ahead than it is long.
    let open = |family: &Family<Tick>| match family.to_row().tolerance {
        Tolerance::Open { until, .. } => Some(until),
        Tolerance::Closed | Tolerance::Unconfirmed => None,
    };
    let ahead = open(after).is_none_or(|until| until <= before.now.plus(WINDOW));
    let reopened = !issued && open(after) > open(&before.family);
    rule.when(wrong)
        | Rule::ForGood.when(!for_good)
        | Rule::Numbers.when(grown != u64::from(issued))
        | Rule::Shown.when(!ahead || reopened)
}

fn reached(before: &State, event: Event, effect: Effect, after: &History) -> Set {
    let State { history, now, .. } = before;
    let older = matches!(event, Event::Presented { number } if number + 1 < history.newest);
    let (was, is) = (
        history.tolerated.map(|tolerated| tolerated.0),
        after.tolerated.map(|tolerated| tolerated.0),
    );
    let told = event == Event::Revoked;
    let reused = effect == Effect::RevokeFamily && !told;
    Corner::Issues.when(matches!(effect, Effect::IssueSuccessor { .. }))
        | Corner::Repeats.when(matches!(effect, Effect::RepeatSuccessor { .. }))
        | Corner::Siblings.when(matches!(effect, Effect::IssueSibling { .. }))
        | Corner::Renews.when(effect == Effect::RenewAccess)
        | Corner::Reuse.when(reused && !older)
        | Corner::Older.when(reused && older)
        | Corner::TooOften.when(effect == Effect::Refuse(RefusalReason::TooOften))
        | Corner::Unknown.when(effect == Effect::Refuse(RefusalReason::Unknown))
        | Corner::Expired.when(effect == Effect::Refuse(RefusalReason::Expired))
        | Corner::AfterRevocation.when(effect == Effect::Refuse(RefusalReason::Revoked))
        | Corner::Confirms.when(history.unconfirmed && !after.unconfirmed)
        | Corner::Closes.when(was.is_some_and(|until| *now >= until))
        | Corner::PulledIn.when(matches!((was, is), (Some(was), Some(is)) if is < was))
        | Corner::Told.when(told)
}
