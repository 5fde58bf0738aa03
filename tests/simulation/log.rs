//! What happened: the last steps in words, a hash of all of them, and how often each kind of thing
//! occurred.

use std::collections::VecDeque;
use std::fmt::Write;

/// How many of the last entries are kept.
const KEPT: usize = 120;

/// One thing that happened, at the server's time.
#[derive(Copy, Clone)]
struct Entry {
    truth: i64,
    what: &'static str,
    whose: usize,
    number: i64,
}

/// The events of one world, in order.
pub(crate) struct Log {
    hash: u64,
    entries: VecDeque<Entry>,
    all: bool,
}

impl Log {
    /// A log that keeps the last entries, or `all`.
    pub(crate) fn new(all: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, entries: VecDeque::new(), all }
    }

    pub(crate) fn note(&mut self, truth: i64, what: &'static str, whose: usize, number: i64) {
        let numbers = [truth.to_le_bytes(), (whose as u64).to_le_bytes(), number.to_le_bytes()];
        for byte in what.bytes().chain(numbers.into_iter().flatten()) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.entries.len() == KEPT && !self.all {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { truth, what, whose, number });
    }

    /// A number that two worlds share only if the same things happened in them in the same order.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The kept entries, one a line, with seconds counted from `start`.
    pub(crate) fn told(&self, start: i64) -> String {
        let mut text = String::new();
        for Entry { truth, what, whose, number } in &self.entries {
            let millis = truth - start;
            let (seconds, rest) = (millis / 1000, millis % 1000);
            let _ = writeln!(text, "  {seconds:>7}.{rest:03}  #{whose:<3} {what} {number}");
        }
        text
    }
}

macro_rules! corners {
    ($($name:ident: $told:literal,)*) => {
        /// The kinds of things that must all occur, if a run of many worlds is to show anything.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Corner { $($name,)* }

        impl Corner {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(crate) fn told(self) -> &'static str {
                match self { $(Self::$name => $told,)* }
            }
        }
    };
}

corners! {
    CalmWorld: "a world without faults",
    ReuseRefuse: "a world of reuse refused",
    ReuseOverlap: "a world of overlap",
    ReuseIdempotent: "a world of idempotent answers",
    ReuseConfirm: "a world of confirmation by use",
    ReuseUnrotated: "a world without rotation",
    StoreShared: "a store shared by processes",
    StoreOfOneProcess: "a store shared within one process",
    StoreNone: "a session without a store",
    RawClock: "a process on a clock that runs back",
    Spawned: "a refresh driven by a spawned task",
    Kept: "a refresh started by keep_fresh",
    Refreshed: "a refresh granted",
    RequestLost: "a request lost",
    AnswerLost: "an answer lost, the refresh token spent",
    Reset: "a connection reset",
    Refused: "a connection refused",
    Busy: "503 or 429, with Retry-After",
    Garbage: "200 with garbage",
    Gateway: "502 or 504 from a gateway",
    Misconfigured: "the client refused",
    Unexplained: "a refusal without a reason",
    Half: "an answer understood in half",
    Doubled: "a request doubled on the way",
    Late: "an answer after its deadline, heard",
    LateUsed: "an answer after its deadline, used instead of asking again",
    HeldBack: "a late answer while its repetition was out",
    LastChance: "a doubted refresh token presented while its token still worked",
    AskedAgain: "a doubted refresh token presented again",
    AskedOften: "a doubted refresh token presented for the fourth time",
    Straggler: "an answer after its deadline, never heard",
    RefresherPanicked: "a refresher that panicked",
    SameToken: "the very same access token again",
    BornDead: "a token born dead",
    Unstated: "a lifetime not stated",
    Silent: "an answer that leaves the refresh token out",
    Declined: "a grant declined",
    Revoked: "a family revoked for reuse",
    AnsweredAgain: "a spent refresh token answered again",
    StoreUnreachable: "a store unreachable",
    StoreSlow: "a store slow",
    StoreHung: "a store that never answers",
    StoreWritten: "a store that wrote and did not say so",
    StoreLate: "a write done after nobody waited for it any more",
    StoreDamaged: "a store damaged",
    StorePanicked: "a store that panicked",
    Conflict: "a compare-and-swap lost",
    Unsaved: "a token in use whose grant could not be stored",
    Orphan: "a grant that belonged to nobody",
    Crash: "a crash",
    CrashInFlight: "a crash while a refresh was out",
    CrashWhileStoring: "a crash while a write was out",
    RestartInDoubt: "a restart that found an intent",
    LetGo: "the last handle dropped",
    Slept: "a machine that slept",
    SetBack: "a wall clock set back",
    SetForward: "a wall clock set forward",
    CallerDropped: "a caller dropped",
    DriverDropped: "the only caller dropped with a refresh out",
    TimedOut: "a caller whose limit passed",
    TooBrief: "a caller that wanted longer than there is",
    NotReady: "a caller that would not wait",
    OverBudget: "a caller told that the budget is spent",
    ServedDespiteFailure: "the old token used after a failed refresh",
    Rejected: "a token rejected",
    RejectedAtWill: "a live token rejected",
    EndpointBroken: "an endpoint that rejects every token",
    KeptDespiteRejection: "a rejected token kept in use",
    RejectionPaid: "a rejection paid for",
    RejectionStale: "a rejection of a token that was replaced",
    Recovered: "a replay that succeeded",
    RejectedInFlight: "a token rejected while a refresh was out",
    LogInDeclined: "a caller told to log in: declined",
    ToldMisconfigured: "a caller told that the client is not accepted",
    Barred: "a request withheld since another session's client was refused",
    LogInMayHelp: "a caller told that a login may help",
    ToldUnsent: "a caller told that a refresh was never sent",
    ToldInDoubt: "a caller told that the refresh token is in doubt",
    ToldUnknown: "a caller told that the outcome is unknown",
    LogInNoGrant: "a caller told to log in: no grant",
    LoggedOut: "a logout",
    LoggedOutInFlight: "a logout while a refresh was out",
    LoggedInElsewhere: "a login by another process that a session found after its logout",
    LoggedIn: "a login",
    Superseded: "a login or logout that a later one replaced",
    GivenUp: "a login or logout given up on its store",
    Closed: "a close",
}

/// How often each corner was met.
#[derive(Clone)]
pub(crate) struct Counts(Vec<u64>);

impl Counts {
    pub(crate) fn new() -> Self {
        Self(vec![0; Corner::ALL.len()])
    }

    pub(crate) fn saw(&mut self, corner: Corner) {
        self.0[corner as usize] += 1;
    }

    pub(crate) fn of(&self, corner: Corner) -> u64 {
        self.0[corner as usize]
    }

    /// How many faults there were in network, stores and clocks.
    #[allow(dead_code, reason = "the fuzzer counts nothing")]
    pub(crate) fn faults(&self) -> u64 {
        let faults = [
            Corner::RequestLost,
            Corner::AnswerLost,
            Corner::Reset,
            Corner::Refused,
            Corner::Busy,
            Corner::Garbage,
            Corner::Gateway,
            Corner::Misconfigured,
            Corner::Unexplained,
            Corner::Half,
            Corner::Doubled,
            Corner::RefresherPanicked,
            Corner::EndpointBroken,
            Corner::StoreUnreachable,
            Corner::StoreSlow,
            Corner::StoreHung,
            Corner::StoreWritten,
            Corner::StoreLate,
            Corner::StoreDamaged,
            Corner::StorePanicked,
            Corner::Slept,
            Corner::SetBack,
            Corner::SetForward,
        ];
        faults.into_iter().map(|fault| self.of(fault)).sum()
    }

    #[allow(dead_code, reason = "the fuzzer counts nothing")]
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum += more;
        }
    }
}
