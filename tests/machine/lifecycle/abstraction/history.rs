//! Histories far from both ends of time, and their images: shifted, stretched, delayed.

use perennial::lifecycle::Reuse;
use perennial::time::Span;
use proptest::prelude::*;

use crate::lifecycle::model::{Model, Reply, Rules, Token, Told};
use crate::lifecycle::ops::{Clock, rules, sequences};

/// No span is longer, and no clock strays further.
const LIMIT: i128 = 1000;
const HALF: u32 = 1 << 31;

/// How spans and draws are chosen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Any,
    /// Spans of sixteens, draws of none or one half: nothing is rounded.
    Coarse,
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) rules: Rules,
    /// Each with its now.
    pub(crate) events: Vec<(i128, Told)>,
}

impl Grain {
    fn span(self, span: i128) -> i128 {
        match self {
            Self::Any => span % LIMIT,
            Self::Coarse => span % (LIMIT / 16) * 16,
        }
    }

    fn draw(self, draw: u32) -> u32 {
        match self {
            Self::Any => draw,
            Self::Coarse => draw & HALF,
        }
    }

    fn rules(self, rules: Rules) -> Rules {
        let span = |length| self.span(length);
        let window = span(rules.budget_window);
        Rules {
            refresh_window: span(rules.refresh_window),
            margin: span(rules.margin),
            missing: rules.missing.map(span),
            base: span(rules.base),
            cap: span(rules.cap),
            misconfigured: (span(rules.misconfigured.0), span(rules.misconfigured.1)),
            unexplained: (rules.unexplained.0, span(rules.unexplained.1)),
            rejections: {
                let (count, window, interval) = rules.rejections;
                (count, span(window), span(interval))
            },
            retry_after_cap: span(rules.retry_after_cap),
            interval: span(rules.interval).min(window),
            budget_window: window,
            deadline: span(rules.deadline),
            reuse: with_windows(rules.reuse, span),
        }
    }

    fn told(self, told: Told, now: i128) -> Told {
        let near = |instant: i128| now + (instant - now) % LIMIT;
        let token = |token: Token| Token {
            sent: near(token.sent),
            lifetime: token.lifetime.map(|lifetime| self.span(lifetime)),
            hint: token.hint.map(|hint| self.span(hint)),
            jitter: self.draw(token.jitter),
        };
        match told {
            Told::Requested(usable_for) => Told::Requested(self.span(usable_for)),
            Told::Refreshed(flight, answer, new, draw) => {
                Told::Refreshed(flight, token(answer), new, self.draw(draw))
            }
            Told::Unavailable(flight, asked, draw) => {
                Told::Unavailable(flight, asked.map(|asked| self.span(asked)), self.draw(draw))
            }
            Told::Misconfigured(flight, asked, draw) => {
                Told::Misconfigured(flight, asked.map(|asked| self.span(asked)), self.draw(draw))
            }
            Told::Unexplained(flight, asked, draw) => {
                Told::Unexplained(flight, asked.map(|asked| self.span(asked)), self.draw(draw))
            }
            Told::Unknown(flight, draw) => Told::Unknown(flight, self.draw(draw)),
            Told::Installed(answer, intent) => Told::Installed(answer.map(token), intent.map(near)),
            Told::TimePassed(draw) => Told::TimePassed(self.draw(draw)),
            Told::Declined(_)
            | Told::Rejected(_)
            | Told::Accepted(_)
            | Told::Recovered(_)
            | Told::Cleared => told,
        }
    }
}

fn with_windows(reuse: Reuse, span: impl Fn(i128) -> i128) -> Reuse {
    let window = |window: Span| {
        let length = span(window.as_millis().into());
        Span::from_millis(u64::try_from(length).expect("a span fits"))
    };
    match reuse {
        Reuse::OverlapAccessOnly(length) => Reuse::OverlapAccessOnly(window(length)),
        Reuse::OverlapSuccessors(length) => Reuse::OverlapSuccessors(window(length)),
        Reuse::Idempotent(length) => Reuse::Idempotent(window(length)),
        Reuse::Strict | Reuse::ConfirmByUse | Reuse::Unrotated => reuse,
    }
}

/// Some ordinary rules.
pub(crate) fn tame(grain: Grain) -> Rules {
    grain.rules(Rules {
        refresh_window: 3,
        margin: 1,
        missing: None,
        base: 1,
        cap: 8,
        misconfigured: (2, 8),
        unexplained: (2, 6),
        rejections: (1, 6, 2),
        retry_after_cap: 8,
        interval: 2,
        budget_window: 4,
        deadline: 3,
        reuse: Reuse::Strict,
    })
}

pub(crate) fn histories(grain: Grain) -> impl Strategy<Value = History> {
    (rules(), sequences()).prop_map(move |(rules, sequence)| {
        let rules = grain.rules(rules);
        let mut model = Model::new(rules);
        let mut events = Vec::new();
        for (clock, op) in sequence {
            let clock = match clock {
                Clock::Jumps(to) => Clock::Jumps(to % 1000),
                Clock::Stands | Clock::Goes(_) | Clock::ToInstant(..) => clock,
            };
            let now = clock.now(&model);
            let told = grain.told(op.told(&model, now), now);
            let _ = model.tell(told, now);
            events.push((now, told));
        }
        History { rules, events }
    })
}

impl History {
    /// The same, but that every answer brings another token.
    pub(crate) fn of_new_tokens(mut self) -> Self {
        for (_, told) in &mut self.events {
            if let Told::Refreshed(_, _, new, _) = told {
                *new = true;
            }
        }
        self
    }
}

/// Where everything in a history goes.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// By which instants and spans are multiplied.
    pub(crate) factor: i128,
    pub(crate) shift: i128,
    /// How many refreshes and tokens there were before.
    pub(crate) past: u64,
    /// By how much each event is delayed: less than the factor. None is where this is empty.
    pub(crate) later: Vec<i128>,
}

impl Image {
    pub(crate) fn instant(&self, instant: i128, step: usize) -> i128 {
        instant * self.factor + self.shift + self.later.get(step).copied().unwrap_or(0)
    }

    /// What instant of the history this is the image of.
    pub(crate) fn back(&self, instant: i128) -> i128 {
        (instant - self.shift).div_euclid(self.factor)
    }

    pub(crate) fn rules(&self, rules: &Rules) -> Rules {
        let span = |length: i128| length * self.factor;
        Rules {
            refresh_window: span(rules.refresh_window),
            margin: span(rules.margin),
            missing: rules.missing.map(span),
            base: span(rules.base),
            cap: span(rules.cap),
            misconfigured: (span(rules.misconfigured.0), span(rules.misconfigured.1)),
            unexplained: (rules.unexplained.0, span(rules.unexplained.1)),
            rejections: {
                let (count, window, interval) = rules.rejections;
                (count, span(window), span(interval))
            },
            retry_after_cap: span(rules.retry_after_cap),
            interval: span(rules.interval),
            budget_window: span(rules.budget_window),
            deadline: span(rules.deadline),
            reuse: with_windows(rules.reuse, span),
        }
    }

    pub(crate) fn told(&self, told: Told, step: usize) -> Told {
        let span = |length: i128| length * self.factor;
        let token = |token: Token| Token {
            sent: self.instant(token.sent, step),
            lifetime: token.lifetime.map(span),
            hint: token.hint.map(span),
            jitter: token.jitter,
        };
        let past = |number: u64| number + self.past;
        match told {
            Told::Requested(usable_for) => Told::Requested(span(usable_for)),
            Told::Refreshed(flight, answer, new, draw) => {
                Told::Refreshed(past(flight), token(answer), new, draw)
            }
            Told::Declined(flight) => Told::Declined(past(flight)),
            Told::Unavailable(flight, asked, draw) => {
                Told::Unavailable(past(flight), asked.map(span), draw)
            }
            Told::Misconfigured(flight, asked, draw) => {
                Told::Misconfigured(past(flight), asked.map(span), draw)
            }
            Told::Unexplained(flight, asked, draw) => {
                Told::Unexplained(past(flight), asked.map(span), draw)
            }
            Told::Unknown(flight, draw) => Told::Unknown(past(flight), draw),
            Told::Rejected(number) => Told::Rejected(past(number)),
            Told::Accepted(number) => Told::Accepted(past(number)),
            Told::Recovered(number) => Told::Recovered(past(number)),
            Told::Installed(answer, intent) => {
                Told::Installed(answer.map(token), intent.map(|intent| self.instant(intent, step)))
            }
            Told::Cleared => Told::Cleared,
            Told::TimePassed(draw) => Told::TimePassed(draw),
        }
    }

    /// The reply of which this is the image.
    pub(crate) fn reply_back(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Start { flight, deadline, cause } => {
                Reply::Start { flight: flight - self.past, deadline: self.back(deadline), cause }
            }
            Reply::Wait(until) => Reply::Wait(self.back(until)),
            Reply::BackOff(until, reason) => Reply::BackOff(self.back(until), reason),
            Reply::Publish(number) => Reply::Publish(number - self.past),
            Reply::Nothing
            | Reply::Use
            | Reply::LogIn(_)
            | Reply::Keep
            | Reply::Orphan
            | Reply::HoldBack
            | Reply::Discard
            | Reply::Withdraw
            | Reply::KeepUsing
            | Reply::EndAttempt => reply,
        }
    }
}
