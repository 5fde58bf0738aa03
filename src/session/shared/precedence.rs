//! Precedence: which of several logins and logouts of one session is in effect.

use std::prelude::rust_2024::*;

use crate::session::exchange::received::same_credential;
use crate::store::Version;
use crate::token::Grant;

/// The number of a login, a logout or a close. Rule B11: "Login, logout and close MUST each draw a number
/// when they begin"; a later one draws a higher number.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

/// How many logins that are not in effect yet are remembered.
const LOGINS: usize = 8;

/// How far the logins and logouts of a session have come. Lives under the session's lock.
#[derive(Default)]
pub(crate) struct Precedence {
    drawn: Number,
    /// The latest one that has started to write to the store, and the latest login that has.
    writing: Number,
    login_writing: Number,
    /// The grants that are written by logins not in effect yet, newest last.
    logins: Vec<(Number, Grant)>,
    /// The latest one whose outcome is in memory, and the latest such login.
    in_effect: Number,
    login_in_effect: Number,
}

impl Precedence {
    pub(crate) fn draw(&mut self) -> Number {
        self.drawn.0 += 1;
        self.drawn
    }

    /// Returns whether `number` may write to the store, over a version that was read before this call.
    ///
    /// A login may not once a later login or logout has started to write, a logout not once a later
    /// login has. Writing is compare-and-swap: one that passes this check and is overtaken all the same
    /// meets a conflict, and asks again.
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
            // Old entries are of logins that were dropped halfway.
            let surplus = self.logins.len().saturating_sub(LOGINS);
            self.logins.drain(..surplus);
        }
        true
    }

    /// Returns whether `stored`, which a refresh has found in the store, was written by a login. That
    /// login is in effect from now on.
    pub(crate) fn finds_login(&mut self, stored: &Grant) -> bool {
        let found = self.logins.iter().find(|(_, login)| same_credential(login, stored));
        match found.map(|(number, _)| *number) {
            Some(number) => self.login_takes_effect(number),
            None => false,
        }
    }

    /// Puts a logout into effect, which it is as soon as it starts. Returns its number.
    pub(crate) fn logout(&mut self) -> Number {
        self.in_effect = self.draw();
        self.logins.clear();
        self.in_effect
    }

    /// Returns whether a login may change what is in memory: not once a later login or logout has.
    pub(crate) fn login_takes_effect(&mut self, number: Number) -> bool {
        let stands = self.stands(number);
        if stands {
            (self.in_effect, self.login_in_effect) = (number, number);
            self.logins.retain(|(other, _)| *other > number);
        }
        stands
    }

    /// Returns whether the outcome in memory is that of `number`.
    pub(crate) fn is_in_effect(&self, number: Number) -> bool {
        self.in_effect == number
    }

    /// Returns whether no later login or logout is in effect.
    pub(crate) fn stands(&self, number: Number) -> bool {
        self.in_effect <= number
    }

    /// Returns whether a logout is still the last word: no later login is in effect, or has started to
    /// write. What such a login has written may be in the store, or get there, even if the login has
    /// failed.
    pub(crate) fn logout_stands(&self, number: Number) -> bool {
        self.login_in_effect <= number && self.login_writing <= number
    }
}

/// Returns whether the session has seen what was `written` to its store, or something newer, since it
/// was at `before`: a refresh has found it there.
pub(crate) fn has_been_seen(
    present: Option<Version>,
    before: Option<Version>,
    written: Version,
) -> bool {
    present != before && present.is_some_and(|present| present >= written)
}

#[cfg(test)]
mod tests {
    use super::Precedence;
    use crate::token::Grant;

    #[test]
    fn a_login_whose_grant_is_found_in_the_store_is_known_also_once_a_later_one_writes() {
        let mut precedence = Precedence::default();
        let grants = ["rt-1", "rt-2"].map(Grant::of_refresh_token);
        for grant in &grants {
            let number = precedence.draw();
            assert!(precedence.may_write(number, Some(grant)));
            // As after a conflict.
            assert!(precedence.may_write(number, Some(grant)));
        }
        assert!(precedence.finds_login(&grants[0]));
    }
}
