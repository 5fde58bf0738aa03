//! Which of several logins and logouts of one session stands. Rule B11: "Login, logout and close MUST each
//! draw a number when they begin".

use std::prelude::rust_2024::*;

use super::received::same_credential;
use crate::store::Version;
use crate::token::Grant;

/// The number of a login, a logout or a close.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

/// How many logins that are not in effect are remembered.
const LOGINS: usize = 8;

/// How far the logins and logouts of a session have come. Lives under the session's lock.
#[derive(Default)]
pub(super) struct Precedence {
    drawn: Number,
    /// The latest that has begun to write to the store.
    writing: Number,
    /// What logins write that are not in effect, newest last.
    logins: Vec<(Number, Grant)>,
    /// The latest whose outcome is in memory.
    in_effect: Number,
}

impl Precedence {
    pub(super) fn draw(&mut self) -> Number {
        self.drawn.0 += 1;
        self.drawn
    }

    /// Whether `number` may write to the store, over a version that it has read before this call: not
    /// once a later one has begun to write. Writing is compare-and-swap, so what passes this and is
    /// outrun all the same meets a conflict, and asks again.
    pub(super) fn may_write(&mut self, number: Number, login: Option<&Grant>) -> bool {
        if number < self.writing {
            return false;
        }
        self.writing = number;
        self.logins.retain(|(other, _)| *other != number);
        self.logins.extend(login.map(|login| (number, login.clone())));
        // Those of long ago were dropped halfway.
        let surplus = self.logins.len().saturating_sub(LOGINS);
        self.logins.drain(..surplus);
        true
    }

    /// Whether `stored`, which a refresh has found in the store, is what a login has written. It is in
    /// effect from now on.
    pub(super) fn finds_login(&mut self, stored: &Grant) -> bool {
        let found = self.logins.iter().find(|(_, login)| same_credential(login, stored));
        match found.map(|(number, _)| *number) {
            Some(number) => self.takes_effect(number),
            None => false,
        }
    }

    /// Whether `number` may change what is in memory: not once a later one has.
    pub(super) fn takes_effect(&mut self, number: Number) -> bool {
        let stands = self.stands(number);
        if stands {
            self.in_effect = number;
            self.logins.retain(|(other, _)| *other > number);
        }
        stands
    }

    /// Whether the outcome of `number` is in memory, and that of no later one.
    pub(super) fn is_in_effect(&self, number: Number) -> bool {
        self.in_effect == number
    }

    /// Whether no later one is in effect, or has begun to write: that may be in the store, or come to be
    /// there, also where it has failed.
    pub(super) fn is_undisputed(&self, number: Number) -> bool {
        self.stands(number) && self.writing <= number
    }

    /// Whether no later one is in effect.
    pub(super) fn stands(&self, number: Number) -> bool {
        self.in_effect <= number
    }
}

/// Whether the session has seen what was `written` to its store, or something newer, since it was at
/// `before`: a refresh has found it there.
pub(super) fn has_been_seen(
    present: Option<Version>,
    before: Option<Version>,
    written: Version,
) -> bool {
    present != before && present.is_some_and(|present| present >= written)
}
