//! The rules once more, written another way: the model keeps the whole history as lists, and finds
//! every answer by searching it. Nothing is carried from step to step but what was told; the
//! arithmetic is in 128 bits, clamped where the rules say that it saturates.

use perennial::lifecycle::{Cause, Delay, Ending, Meanwhile, Remedy, Reuse, State};

/// The policy, with all spans in milliseconds.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) refresh_window: i128,
    pub(crate) margin: i128,
    pub(crate) missing: Option<i128>,
    pub(crate) base: i128,
    pub(crate) cap: i128,
    /// The shortest and the longest delay while the client is misconfigured.
    pub(crate) misconfigured: (i128, i128),
    pub(crate) retry_after_cap: i128,
    /// After so many refusals without a reason, over so long, a login may help.
    pub(crate) unexplained: (u32, i128),
    pub(crate) interval: i128,
    pub(crate) budget_window: i128,
    /// So many rejections within so long; one is given back after so long at the earliest.
    pub(crate) rejections: (u32, i128, i128),
    pub(crate) deadline: i128,
    pub(crate) reuse: Reuse,
}

/// What an answer says of its token.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Token {
    pub(crate) sent: i128,
    pub(crate) lifetime: Option<i128>,
    pub(crate) hint: Option<i128>,
    pub(crate) jitter: u32,
}

/// What is told.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Told {
    Requested(i128),
    Refreshed(u64, Token, bool, u32),
    Declined(u64),
    Unavailable(u64, Option<i128>, u32),
    Misconfigured(u64, Option<i128>, u32),
    Unexplained(u64, Option<i128>, u32),
    Unknown(u64, u32),
    Rejected(u64),
    Accepted(u64),
    Recovered(u64),
    Installed(Option<Token>, Option<i128>),
    Cleared,
    TimePassed(u32),
}

/// What is to be done.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nothing,
    Use,
    Start { flight: u64, deadline: i128, cause: Cause },
    Wait(i128),
    BackOff(i128, Delay),
    LogIn(Ending),
    Publish(u64),
    Keep,
    Orphan,
    HoldBack,
    Discard,
    Withdraw,
    KeepUsing,
    EndAttempt,
}

/// `sent`, `refresh_after`, `unusable_from`, `expires_at`; nothing where only a rejection ends it.
pub(crate) type Life = Option<[i128; 4]>;

/// A grant that came, by a login or by a refresh.
struct Grant {
    step: usize,
    by: Option<u64>,
    /// The generation and the life under which its token was published, if it was.
    published: Option<(u64, Life)>,
    intent: Option<i128>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Fate {
    Landed,
    Declined,
    Failed(Trouble),
    Overdue,
    /// It failed once it was overdue.
    Closed,
}

/// How a refresh failed, other than for good.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Trouble {
    Unavailable,
    Misconfigured,
    Unexplained,
    Unknown,
    /// What it brought was of no use.
    Useless,
}

/// How a rejection was paid for.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Payment {
    /// It cost nothing.
    Free,
    Paid,
}

struct Flight {
    step: usize,
    deadline: i128,
    /// Which of the grants it presented.
    presented: usize,
    fates: Vec<(usize, Fate)>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Progress {
    Idle,
    Out,
    Overdue,
}

/// Whether the grant may be presented.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Trust {
    Full,
    Until(i128),
    InDoubt,
    Declined,
}

pub(crate) struct Model {
    pub(crate) rules: Rules,
    pub(crate) nows: Vec<i128>,
    epochs: Vec<usize>,
    grants: Vec<Grant>,
    flights: Vec<Flight>,
    /// Those that withdrew a token.
    rejections: Vec<(usize, u64, Payment)>,
    /// What the allowance paid for, each with its token's lifetime; nothing where a refresh helped.
    allowance: Vec<(usize, Option<i128>)>,
    acceptances: Vec<(usize, u64)>,
    /// When a refresh was paid for from the budget.
    pub(crate) charges: Vec<usize>,
    /// When something failed, the delay that followed, and how.
    failures: Vec<(usize, i128, Trouble)>,
    /// When the present grant was declined.
    declined: Vec<usize>,
}

pub(crate) fn clamp(instant: i128) -> i128 {
    instant.clamp(i64::MIN.into(), i64::MAX.into())
}

fn share(span: i128, draw: u32) -> i128 {
    span * i128::from(draw) / (1 << 32)
}

/// 0 fresh, 1 due, 2 lapsed.
fn phase(life: Life, now: i128) -> usize {
    life.map_or(0, |[_, due, lapse, _]| usize::from(now >= due).max(2 * usize::from(now >= lapse)))
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            nows: Vec::new(),
            epochs: Vec::new(),
            grants: Vec::new(),
            flights: Vec::new(),
            rejections: Vec::new(),
            allowance: Vec::new(),
            acceptances: Vec::new(),
            charges: Vec::new(),
            failures: Vec::new(),
            declined: Vec::new(),
        }
    }

    fn step(&self) -> usize {
        self.nows.len() - 1
    }

    pub(crate) fn now(&self) -> i128 {
        self.nows.last().copied().unwrap_or(0)
    }

    pub(crate) fn epoch(&self) -> usize {
        self.epochs.last().copied().unwrap_or(0)
    }

    /// Rule B1.
    fn life(&self, token: Token) -> Life {
        let lifetime = token.lifetime.or(self.rules.missing)?;
        let sent = token.sent.min(self.now());
        let end = clamp(sent + lifetime);
        let lifetime = end - sent;
        let lapse = clamp(end - self.rules.margin.min(lifetime / 8));
        let wish = match token.hint {
            Some(hint) => clamp(sent + hint),
            None => clamp(end - self.rules.refresh_window),
        };
        let wish = clamp(wish - share(lifetime / 8, token.jitter));
        Some([sent, wish.max(sent + lifetime / 2).min(lapse), lapse, end])
    }

    /// An instant set at step `from`, as the nows up to step `to` have pulled it in; nothing once
    /// one of them has shown it over (rule A5).
    fn pulled(&self, instant: i128, longest: i128, from: usize, to: usize) -> Option<i128> {
        self.nows[from + 1..=to]
            .iter()
            .try_fold(instant, |reach, &now| (now < reach).then(|| reach.min(clamp(now + longest))))
    }

    /// The grant that is installed, by its place in the list.
    fn grant(&self) -> Option<usize> {
        let last = self.grants.last()?;
        (last.step >= self.epoch()).then(|| self.grants.len() - 1)
    }

    /// The token that is held: its grant, generation and life.
    fn held(&self) -> Option<(&Grant, u64, Life)> {
        let of_epoch = |grant: &&Grant| grant.step >= self.epoch();
        let published = |grant| Option::zip(Some(grant), Grant::published(grant));
        let mut newest_first = self.grants.iter().rev().take_while(of_epoch);
        let (grant, (number, life)) = newest_first.find_map(published)?;
        Some((grant, number, life))
    }

    pub(crate) fn held_life(&self) -> Option<Life> {
        self.held().map(|(_, _, life)| life)
    }

    pub(crate) fn held_number(&self) -> Option<u64> {
        self.held().map(|(_, number, _)| number)
    }

    pub(crate) fn started(&self) -> u64 {
        self.flights.len().try_into().unwrap_or(u64::MAX)
    }

    pub(crate) fn published(&self) -> u64 {
        let numbers = self.grants.iter().filter_map(Grant::published);
        numbers.map(|(number, _)| number).max().unwrap_or(0)
    }

    /// The furthest phase that any now since has shown.
    fn seen_phase(&self, since: usize, life: Life) -> usize {
        let phases = self.nows[since..].iter().map(|&now| phase(life, now));
        phases.max().unwrap_or(0)
    }

    fn rejected_at(&self, number: u64) -> Option<usize> {
        let found = self.rejections.iter().find(|(_, named, _)| *named == number);
        found.map(|(step, ..)| *step)
    }

    /// When a stretch of time that began at step `from` is over, unless it is by now (rule A5).
    fn stretch(&self, from: usize, longest: i128, to: usize) -> Option<i128> {
        let instant = clamp(self.nows[from] + longest);
        (instant > self.nows[from]).then(|| self.pulled(instant, longest, from, to)).flatten()
    }

    /// How many of the allowance are spent at step `to` (rule B9): what was paid, less what was given
    /// back, of which there is one at a time.
    fn spent(&self, to: usize) -> u32 {
        let (_, whole, interval) = self.rules.rejections;
        let (mut spent, mut opened, mut given, mut owed) = (0_u32, None, None, false);
        let still = |begun: Option<(usize, i128)>, step: usize| {
            begun.filter(|&(from, longest)| self.stretch(from, longest, step).is_some())
        };
        for step in self.epoch()..=to {
            opened = still(opened, step);
            spent = if opened.is_some() { spent } else { 0 };
            given = still(given, step);
            if owed && given.is_none() {
                owed = false;
                if spent > 0 {
                    (spent, given) = (spent - 1, still(Some((step, interval)), step));
                }
            }
            let Some((_, paid)) = self.allowance.iter().find(|(told, _)| *told == step) else {
                continue;
            };
            match paid {
                Some(lifetime) => {
                    spent += 1;
                    opened = opened.or(Some((step, whole.min(*lifetime))));
                    // Over at once where it has no length.
                    spent = if still(opened, step).is_some() { spent } else { 0 };
                }
                // There is nothing to give back.
                None if spent == 0 => {}
                None if given.is_some() => owed = true,
                None => (spent, given) = (spent - 1, still(Some((step, interval)), step)),
            }
        }
        spent
    }

    fn progress(&self) -> Progress {
        match self.flights.last() {
            Some(flight) if flight.step >= self.epoch() => match flight.fates[..] {
                [] => Progress::Out,
                [(_, Fate::Overdue)] => Progress::Overdue,
                _ => Progress::Idle,
            },
            Some(_) | None => Progress::Idle,
        }
    }

    /// Rule B6, for the grant at `index`, by the nows up to step `to`.
    fn trust(&self, index: usize, to: usize) -> Trust {
        let presented = || self.flights.iter().filter(|flight| flight.presented == index);
        let unknown = |flight: &Flight| {
            let mut fates = flight.fates.iter();
            let told = |fate| matches!(fate, Fate::Failed(Trouble::Unknown) | Fate::Overdue);
            fates.find(|(step, fate)| told(*fate) && *step <= to).map(|(step, _)| *step)
        };
        if presented().any(|flight| flight.fates.iter().any(|(_, fate)| *fate == Fate::Declined)) {
            return Trust::Declined;
        }
        let grant = &self.grants[index];
        let stored = grant.intent.map(|sent| (grant.step, sent.min(self.nows[grant.step])));
        let first = stored.or_else(|| {
            presented().find_map(|flight| {
                let told = unknown(flight)?;
                // It was sent no later than any now since.
                let sent = self.nows[flight.step..=told].iter().min()?;
                Some((told, *sent))
            })
        });
        match (first, self.rules.reuse) {
            (None, _) | (Some(_), Reuse::ConfirmByUse | Reuse::Unrotated) => Trust::Full,
            (Some(_), Reuse::Strict) => Trust::InDoubt,
            (
                Some((told, sent)),
                Reuse::OverlapAccessOnly(window)
                | Reuse::OverlapSuccessors(window)
                | Reuse::Idempotent(window),
            ) => {
                let window = i128::from(window.as_millis());
                let until = clamp(sent + window);
                if self.nows[told] >= until {
                    return Trust::InDoubt;
                }
                let until = self.pulled(until, window, told, to);
                until.map_or(Trust::InDoubt, Trust::Until)
            }
        }
    }

    /// The deadline of the refresh that is out: its own, or nearer where a now went back.
    fn deadline(&self) -> Option<i128> {
        let flight = self.flights.last()?;
        let since = &self.nows[flight.step..];
        let nearest = since.iter().map(|&now| clamp(now + self.rules.deadline)).min()?;
        let replaced = self.grants.get(flight.presented + 1);
        let last = replaced.map_or(self.step(), |grant| grant.step);
        let window = (flight.step..=last).filter_map(|to| match self.trust(flight.presented, to) {
            Trust::Until(until) => Some(until),
            Trust::Full | Trust::InDoubt | Trust::Declined => None,
        });
        Some(flight.deadline.min(nearest).min(window.min().unwrap_or(nearest)))
    }

    /// How many failures count since one last succeeded.
    pub(crate) fn failures_in_a_row(&self) -> usize {
        self.row().count()
    }

    fn row(&self) -> impl DoubleEndedIterator<Item = &(usize, i128, Trouble)> {
        let since = self.held().map_or(self.epoch(), |(grant, ..)| grant.step);
        self.failures.iter().filter(move |(step, ..)| *step >= since)
    }

    /// The failures that tell of the present trouble, newest first.
    fn troubles(&self) -> impl Iterator<Item = (usize, Trouble)> {
        let settled = self.declined.last().copied();
        let row = self.row().rev().map(|(step, _, trouble)| (*step, *trouble));
        row.take_while(move |(step, _)| settled.is_none_or(|settled| *step > settled))
    }

    /// When the present refusals without a reason began, if there are enough of them; and until when
    /// they have not lasted for long (rule B6).
    fn unexplained(&self) -> Option<(usize, Option<i128>)> {
        let refusals = self.troubles().take_while(|(_, trouble)| *trouble == Trouble::Unexplained);
        let (first, _) = refusals.last()?;
        let (_, window) = self.rules.unexplained;
        Some((first, self.stretch(first, window, self.step())))
    }

    /// Whether a login may help (rule B6).
    fn lasts(&self) -> bool {
        let refusals = self.troubles().take_while(|(_, trouble)| *trouble == Trouble::Unexplained);
        let enough = refusals.count() >= usize::try_from(self.rules.unexplained.0).unwrap_or(0);
        enough && self.unexplained().is_some_and(|(_, early)| early.is_none())
    }

    fn misconfigured(&self) -> bool {
        self.troubles().next().is_some_and(|(_, trouble)| trouble == Trouble::Misconfigured)
    }

    /// Until when the late answer to any request that presented this grant is waited for (rule B6).
    fn open(&self) -> Option<i128> {
        let presented = self.grant()?;
        let open = |flight: &Flight| match flight.fates[..] {
            [(step, Fate::Overdue)] => self.stretch(step, self.rules.deadline, self.step()),
            _ => None,
        };
        self.flights.iter().filter(|flight| flight.presented == presented).filter_map(open).max()
    }

    /// From when on a doubted refresh token is presented although the old token works (rule B6).
    fn last_chance(&self, [sent, _, lapse, end]: [i128; 4]) -> i128 {
        clamp(lapse - self.rules.deadline.min((end - sent) / 8))
    }

    /// Rule B7: when the backoff is over.
    fn pause(&self) -> Option<i128> {
        // The latest of what the failures asked for, and how long it may last from any now.
        let mut latest: Option<(usize, i128, i128)> = None;
        for &(step, delay, _) in self.row() {
            let instant = clamp(self.nows[step] + delay);
            let asked =
                latest.and_then(|(from, until, longest)| self.pulled(until, longest, from, step));
            if asked.is_none_or(|asked| asked <= instant) {
                latest = (instant > self.nows[step]).then_some((step, instant, delay));
            }
        }
        let (from, until, longest) = latest?;
        self.pulled(until, longest, from, self.step())
    }

    /// Rule B9: when the bucket would be full again, if it is not.
    fn full_at(&self) -> Option<i128> {
        let window = self.rules.budget_window;
        let mut last: Option<(usize, i128)> = None;
        for &step in self.charges.iter().filter(|step| **step >= self.epoch()) {
            let level = last.and_then(|(from, full)| self.pulled(full, window, from, step));
            last = Some((step, clamp(level.unwrap_or(self.nows[step]) + self.rules.interval)));
        }
        let (from, full) = last?;
        self.pulled(full, window, from, self.step())
    }
}

impl Grant {
    fn published(&self) -> Option<(u64, Life)> {
        self.published
    }
}

#[path = "model_events.rs"]
mod events;
