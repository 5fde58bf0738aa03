//! What kind of world it is: drawn once, before anything happens.

use std::time::Duration;

use perennial::lifecycle::{Policy, Reuse as Declared};

use super::choices::Choices;
use super::server::Reuse;

/// How large a world is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Up to three processes of up to two sessions, hundreds of steps.
    #[allow(dead_code, reason = "the test's")]
    Full,
    /// One or two sessions, as many steps as the fuzzer has bytes for.
    #[allow(dead_code, reason = "the fuzzer's")]
    Small,
}

/// Who has a store, and which.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    None,
    /// Each session has one of its own.
    Own,
    /// The sessions of a process share one.
    Process,
    /// All sessions share one.
    All,
}

#[derive(Copy, Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) reuse: Reuse,
    pub(crate) old_access_dies: bool,
    pub(crate) stores: Stores,
    /// How many sessions each process has.
    pub(crate) processes: [u32; 3],
    pub(crate) raw_clock: bool,
    /// Nothing goes wrong: nobody may ever see an error.
    pub(crate) calm: bool,
    /// One in how many messages, and store operations, meets a fault.
    pub(crate) odds: u32,
    pub(crate) store_odds: u32,
    /// Many answers come late, and most endpoints reject every token.
    pub(crate) slow: bool,
    pub(crate) sour: bool,
    pub(crate) latency: i64,
    pub(crate) lifetime: i64,
    /// How long a refresh may take.
    pub(crate) deadline: i64,
    /// Delays are half of what they may be, so that it is known how long they are at least.
    pub(crate) half_draws: bool,
    /// Whether orphans are told to a hook, and not revoked.
    pub(crate) hook: bool,
    pub(crate) drivers: u32,
    pub(crate) steps: u32,
}

impl Plan {
    pub(crate) fn draw(choices: &mut dyn Choices, size: Size) -> Self {
        let small = size == Size::Small;
        let window = [30_000, 60_000, 120_000][choices.below(3) as usize];
        let reuse = match choices.below(5) {
            0 => Reuse::Strict,
            1 => Reuse::OverlapSuccessors(window),
            2 => Reuse::Idempotent(window),
            3 => Reuse::Confirm,
            _ => Reuse::Unrotated,
        };
        let stores = [Stores::None, Stores::Own, Stores::Process, Stores::All];
        let stores = stores[choices.below(4) as usize];
        let shape = choices.below(16);
        let calm = shape == 15;
        let processes = if small {
            [1 + (shape & 1), 0, 0]
        } else {
            [1 + choices.below(2), choices.below(3), choices.below(2)]
        };
        let drivers = choices.below(64);
        let kind = choices.below(64);
        let deadline = if drivers & 1 == 0 { 30_000 } else { 8_000 };
        let mood = choices.below(16);
        Self {
            reuse,
            slow: mood & 3 == 3 && !calm,
            sour: mood & 0b1100 == 0b1100 && !calm,
            // Two holders of one grant may spend it twice: nobody has promised otherwise yet.
            stores: if calm && stores != Stores::None { Stores::Own } else { stores },
            processes,
            calm,
            old_access_dies: kind & 1 == 1 && !calm,
            raw_clock: kind & 6 == 6 && !calm,
            half_draws: kind & 8 == 0,
            hook: kind & 16 == 0,
            latency: if kind & 32 == 32 { 40 } else { 0 },
            odds: [4, 2, 8, 16][(shape & 3) as usize],
            store_odds: [6, 3, 12, 24][(shape >> 2) as usize],
            lifetime: [3_600_000, 300_000, 60_000][(drivers % 3) as usize],
            // A declared window leaves room for a retry.
            deadline: match reuse {
                Reuse::OverlapSuccessors(window) | Reuse::Idempotent(window) => {
                    deadline.min(window / 3)
                }
                Reuse::Strict | Reuse::Confirm | Reuse::Unrotated => deadline,
            },
            drivers,
            steps: if small { 128 } else { 200 + 4 * choices.below(200) },
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let window = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let reuse = match self.reuse {
            Reuse::Strict => Declared::Strict,
            Reuse::OverlapSuccessors(millis) => Declared::overlap_successors(window(millis)),
            Reuse::Idempotent(millis) => Declared::idempotent(window(millis)),
            Reuse::Confirm => Declared::ConfirmByUse,
            Reuse::Unrotated => Declared::Unrotated,
        };
        let policy = Policy::builder().reuse(reuse).refresh_deadline(window(self.deadline));
        policy.build().expect("a policy that can be kept")
    }
}
