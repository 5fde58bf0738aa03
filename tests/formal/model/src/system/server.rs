//! The authorization server and the resource server: the real machine, judged beside it by what has
//! happened (rules D1 to D3).

use perennial::rotation::{Presented, Reuse};

use super::state::{Reply, State, Token};
use super::{Claim, System, WINDOW};
use crate::runner::Set;

impl System {
    /// A refresh token is presented.
    pub(super) fn presented(&self, state: &mut State, token: Token) -> (Reply, Set) {
        let number = token.number;
        let before = state.family;
        let mut family = before;
        let outcome = family.handle_presented(&self.policy, number, state.now);
        let used_before = number < before.newest();
        let revoked = before.is_revoked();
        let reacted = outcome == Presented::RevokeFamily;
        let tolerated = used_before && self.tolerates(state, number);
        let right = revoked || !used_before || reacted != tolerated;
        let broken = Claim::LateReuse.when(!right)
            | Claim::FoundAtOnce.when(used_before && !revoked && !reacted);
        let reply = match outcome {
            Presented::IssueSuccessor { number } => {
                state.history.first_use = Some(state.now);
                state.history.confirmed = false;
                Reply::Granted(Token::first(number))
            }
            Presented::RepeatSuccessor { number } => Reply::Granted(Token::first(number)),
            Presented::IssueSibling { number, sibling } => {
                Reply::Granted(Token { number, sibling })
            }
            // The client keeps the one that it has presented.
            Presented::RenewAccess => Reply::Granted(token),
            Presented::Refuse(_) | Presented::RevokeFamily => Reply::Declined,
        };
        state.family = family;
        (reply, broken)
    }

    /// Whether the policy tolerates that a token is used once more, by what has happened.
    fn tolerates(&self, state: &State, number: u64) -> bool {
        let of_the_newest = number + 1 == state.family.newest();
        of_the_newest
            && match self.reuse {
                Reuse::Strict => false,
                Reuse::OverlapAccessOnly { .. }
                | Reuse::OverlapSuccessors { .. }
                | Reuse::Idempotent { .. } => {
                    state.history.first_use.is_some_and(|then| state.now < then.plus(WINDOW))
                }
                Reuse::ConfirmByUse => !state.history.confirmed,
            }
    }

    /// An access token that came with this refresh token meets a resource server: whether it is taken.
    pub(super) fn used(&self, state: &mut State, Token { number, .. }: Token) -> bool {
        if state.family.is_revoked() {
            return false;
        }
        state.family.handle_confirmed(&self.policy, number, state.now);
        state.history.confirmed |= number == state.family.newest();
        true
    }

    /// The newest number works, at most its predecessor beside it, and no other.
    pub(super) fn honours_too_many(&self, state: &State) -> bool {
        let newest = state.family.newest();
        (0..=newest + 1).rev().take(6).any(|number| {
            let mut family = state.family;
            let honoured = match family.handle_presented(&self.policy, number, state.now) {
                Presented::IssueSuccessor { .. }
                | Presented::RepeatSuccessor { .. }
                | Presented::IssueSibling { .. }
                | Presented::RenewAccess => true,
                Presented::Refuse(_) | Presented::RevokeFamily => false,
            };
            honoured && !(number == newest || number + 1 == newest)
        })
    }
}
