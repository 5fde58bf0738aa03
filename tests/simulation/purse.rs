//! What refreshes and rejections are paid from (rule B9), reckoned beside the session.

/// The budget's defaults: one refresh every interval, and a window's worth at once.
const INTERVAL: i64 = 6_000;
const BUCKET: i64 = 30_000;
const AT_ONCE: usize = 5;

/// The allowance for rejections of tokens that had worked.
const REJECTIONS: usize = 3;
const WINDOW: i64 = 300_000;
const GIVEN_BACK: i64 = 1_000;

/// What one session has spent. It never thinks that more is spent than is.
#[derive(Default)]
pub(crate) struct Purse {
    full_at: Option<i64>,
    spent: usize,
    /// When the allowance is whole again, and when one may be given back again.
    renewed_at: Option<i64>,
    returned_at: Option<i64>,
    /// All that may have been paid from the budget, and all that was from the allowance; not
    /// forgotten when both are made whole.
    payments: Vec<i64>,
    rejections: Vec<i64>,
}

impl Purse {
    /// Pays from the budget. False where there was nothing left.
    pub(crate) fn pay(&mut self, now: i64) -> bool {
        let full_at = self.full_at.unwrap_or(now).max(now) + INTERVAL;
        self.full_at = Some(full_at);
        full_at - now <= BUCKET
    }

    /// Something may have been paid from the budget.
    pub(crate) fn may_have_paid(&mut self, now: i64) {
        self.payments.push(now);
    }

    /// Pays for the rejection of a token that had worked, and lives for `lifetime`.
    pub(crate) fn pay_for_rejection(&mut self, lifetime: i64, now: i64) -> bool {
        self.rejections.push(now);
        if self.renewed_at.is_none_or(|at| now >= at) {
            (self.spent, self.renewed_at) = (0, Some(now + WINDOW.min(lifetime)));
        }
        self.spent += 1;
        self.spent <= REJECTIONS
    }

    /// A refresh has helped.
    pub(crate) fn give_back(&mut self, now: i64) {
        // One more is owed meanwhile; here it is given at once.
        let next = self.returned_at.unwrap_or(now).max(now);
        if self.spent > 0 && next <= now + GIVEN_BACK {
            self.spent -= 1;
            self.returned_at = Some(next + GIVEN_BACK);
        }
    }

    /// A login or a logout makes both whole.
    pub(crate) fn make_whole(&mut self) {
        (self.full_at, self.spent) = (None, 0);
        (self.renewed_at, self.returned_at) = (None, None);
    }

    /// Whether so many rejections were paid for lately that another one may not be.
    pub(crate) fn may_lack_rejections(&self, now: i64) -> bool {
        self.rejections.iter().filter(|at| now - **at <= WINDOW).count() >= REJECTIONS
    }

    /// The same of the budget.
    pub(crate) fn may_lack_budget(&self, now: i64) -> bool {
        self.payments.iter().filter(|at| now - **at <= 2 * BUCKET).count() >= AT_ONCE
    }
}
