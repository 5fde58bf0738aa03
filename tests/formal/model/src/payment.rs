//! What refreshes are paid from, once more, from rule B9: the budget, and the allowance for the
//! rejections of tokens that had been accepted.

use crate::tick::Tick;
use crate::world::{
    BUDGET_INTERVAL, BUDGET_WINDOW, REJECTIONS_COUNT, REJECTIONS_INTERVAL, REJECTIONS_WINDOW,
};

/// Until when something is waited for, and how long that was at most.
pub(crate) type Stretch = Option<(Tick, u8)>;

/// It begins now.
pub(crate) fn stretch(length: u8, now: Tick) -> Stretch {
    (length > 0).then_some((now.plus(length), length))
}

/// Over once it was seen over, and pulled in where it lies too far ahead (rule A5).
pub(crate) fn pulled(waits: Stretch, now: Tick) -> Stretch {
    let (until, at_most) = waits.filter(|(until, _)| now < *until)?;
    Some((until.min(now.plus(at_most)), at_most))
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Purse {
    /// When the budget is full again.
    pub(crate) full_at: Option<Tick>,
    /// How many rejections of accepted tokens were paid for, and not given back.
    pub(crate) spent: u8,
    /// When the allowance is whole again.
    pub(crate) whole: Stretch,
    /// When the next one may be given back, and whether a refresh has helped meanwhile.
    pub(crate) returns: Stretch,
    pub(crate) owed: bool,
}

impl Purse {
    pub(crate) const FULL: Self =
        Self { full_at: None, spent: 0, whole: None, returns: None, owed: false };

    pub(crate) fn notice(&mut self, now: Tick) {
        let full_at = self.full_at.filter(|full_at| now < *full_at);
        self.full_at = full_at.map(|full_at| full_at.min(now.plus(BUDGET_WINDOW)));
        self.returns = pulled(self.returns, now);
        self.whole = pulled(self.whole, now);
        if self.whole.is_none() {
            self.spent = 0;
        }
        if self.returns.is_none() && core::mem::take(&mut self.owed) {
            self.give_back(now);
        }
    }

    /// When the budget next pays for a refresh, if it does not now.
    pub(crate) fn empty_until(&self, now: Tick) -> Option<Tick> {
        let until = self.full_at?.plus(BUDGET_INTERVAL).minus(BUDGET_WINDOW);
        (until > now).then_some(until)
    }

    pub(crate) fn pay(&mut self, now: Tick) {
        self.full_at = Some(self.full_at.unwrap_or(now).plus(BUDGET_INTERVAL));
    }

    /// Pays for the rejection of an accepted token that lives for so long, if that can be.
    pub(crate) fn pay_for_accepted(&mut self, lifetime: Option<u8>, now: Tick) -> bool {
        if self.spent == REJECTIONS_COUNT {
            return false;
        }
        self.spent += 1;
        if self.whole.is_none() {
            let length = REJECTIONS_WINDOW.min(lifetime.unwrap_or(u8::MAX));
            self.whole = stretch(length, now);
        }
        true
    }

    /// The refresh has helped.
    pub(crate) fn give_back(&mut self, now: Tick) {
        if self.spent == 0 {
            return;
        }
        self.owed = self.returns.is_some();
        if !self.owed {
            self.spent -= 1;
            self.returns = stretch(REJECTIONS_INTERVAL, now);
        }
    }
}
