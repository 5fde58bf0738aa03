//! Which of several logins and logouts of one session stands. Rule B11: "Login, logout and close MUST each
//! draw a number when they begin".

use std::prelude::rust_2024::*;

use crate::session::exchange::received::same_credential;
use crate::store::Version;
use crate::token::Grant;

/// The number of a login, a logout or a close.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

/// How many logins that are not in effect are remembered.
const LOGINS: usize = 8;

/// How far the logins and logouts of a session have come. Lives under the session's lock.
#[derive(Default)]
pub(crate) struct Precedence {
    drawn: Number,
    /// The latest that has begun to write to the store, and the latest login that has.
    writing: Number,
    login_writing: Number,
    /// What logins write that are not in effect, newest last.
    logins: Vec<(Number, Grant)>,
    /// The latest whose outcome is in memory, and the latest such login.
    in_effect: Number,
    login_in_effect: Number,
}

impl Precedence {
    pub(crate) fn draw(&mut self) -> Number {
        self.drawn.0 += 1;
        self.drawn
    }

    /// Whether `number` may write to the store, over a version that it has read before this call: a login
    /// not once a later login or logout has begun to, a logout not once a later login has. Writing is
    /// compare-and-swap, so what passes this and is outrun all the same meets a conflict, and asks again.
    pub(crate) fn may_write(&mut self, number: Number, login: Option<&Grant>) -> bool {
        let latest = if login.is_some() { self.writing } else { self.login_writing };
        if number < latest {
            return false;
        }
        self.writing = self.writing.max(number);
        self.logins.retain(|(other, _)| *other != number);
        if let Some(login) = login {
            self.login_writing = number;
            self.logins.push((number, login.clone()));
            // Those of long ago were dropped halfway.
            let surplus = self.logins.len().saturating_sub(LOGINS);
            self.logins.drain(..surplus);
        }
        true
    }

    /// Whether `stored`, which a refresh has found in the store, is what a login has written. It is in
    /// effect from now on.
    pub(crate) fn finds_login(&mut self, stored: &Grant) -> bool {
        let found = self.logins.iter().find(|(_, login)| same_credential(login, stored));
        match found.map(|(number, _)| *number) {
            Some(number) => self.login_takes_effect(number),
            None => false,
        }
    }

    /// A logout is in effect as soon as it begins. Gives its number.
    pub(crate) fn logout(&mut self) -> Number {
        self.in_effect = self.draw();
        self.logins.clear();
        self.in_effect
    }

    /// Whether a login may change what is in memory: not once a later login or logout has.
    pub(crate) fn login_takes_effect(&mut self, number: Number) -> bool {
        let stands = self.stands(number);
        if stands {
            (self.in_effect, self.login_in_effect) = (number, number);
            self.logins.retain(|(other, _)| *other > number);
        }
        stands
    }

    /// Whether the outcome of `number` is in memory, and that of no later one.
    pub(crate) fn is_in_effect(&self, number: Number) -> bool {
        self.in_effect == number
    }

    /// Whether no later login or logout is in effect.
    pub(crate) fn stands(&self, number: Number) -> bool {
        self.in_effect <= number
    }

    /// Whether a logout has done what it says: no later login is in effect, or has begun to write. What
    /// that has written may be in the store, or come to be there, also where it has failed.
    pub(crate) fn logout_stands(&self, number: Number) -> bool {
        self.login_in_effect <= number && self.login_writing <= number
    }
}

/// Whether the session has seen what was `written` to its store, or something newer, since it was at
/// `before`: a refresh has found it there.
pub(crate) fn has_been_seen(
    present: Option<Version>,
    before: Option<Version>,
    written: Version,
) -> bool {
    present != before && present.is_some_and(|present| present >= written)
}
