//! The authorization server, with families of rotating refresh tokens and each of the five declared
//! ways to treat one that is seen twice; and the resource server, which knows the live tokens.

use std::collections::BTreeSet;

use perennial::time::{Lifetime, Span};
use perennial::token::{Grant, Secret};

/// What the server does with a refresh token that it sees a second time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    Strict,
    OverlapSuccessors(i64),
    Idempotent(i64),
    Confirm,
    Unrotated,
}

/// A refresh token or an access token, by its number.
pub(crate) type Number = u32;

pub(crate) struct Server {
    pub(crate) reuse: Reuse,
    /// Whether an access token dies once its family rotates.
    pub(crate) old_access_dies: bool,
    /// Whether each family is revoked.
    families: Vec<bool>,
    renewals: Vec<Renewal>,
    access: Vec<Access>,
    /// What was granted together: the access token, and the refresh token that was good with it.
    pairs: BTreeSet<(Option<Number>, Number)>,
    pub(crate) revoked_for_reuse: u64,
    pub(crate) answered_again: u64,
}

/// A refresh token.
#[derive(Copy, Clone)]
struct Renewal {
    family: usize,
    /// When it was first presented.
    used_at: Option<i64>,
    successor: Option<Number>,
    /// Whether a successor of it has been used.
    confirmed: bool,
    predecessor: Option<Number>,
}

#[derive(Copy, Clone)]
struct Access {
    family: usize,
    expires_at: i64,
    dead: bool,
    with: Number,
}

/// What the server says.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) access: Number,
    /// The refresh token that is good from here on.
    pub(crate) renewal: Number,
    /// Whether the answer says so.
    pub(crate) silent: bool,
    /// The lifetime in milliseconds, where it is stated.
    pub(crate) lifetime: Option<i64>,
    pub(crate) hint: Option<i64>,
    pub(crate) same: bool,
}

/// What is asked of the server besides.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) lifetime: i64,
    pub(crate) stated: bool,
    pub(crate) hint: Option<i64>,
    /// To hand out the family's newest access token again, if that still lives.
    pub(crate) cached: bool,
    /// To leave the refresh token out, where it stays the same.
    pub(crate) silent: bool,
}

pub(crate) fn access_text(number: Number) -> String {
    format!("a{number}")
}

pub(crate) fn renewal_text(number: Number) -> String {
    format!("r{number}")
}

/// The number of a token that this server has issued.
pub(crate) fn number(secret: &Secret) -> Number {
    secret.expose()[1..].parse().expect("a token of this server")
}

impl Answer {
    pub(crate) fn grant(&self) -> Grant {
        let span = |millis| Span::from_millis(u64::try_from(millis).unwrap_or(0));
        let lifetime = self.lifetime.map_or(Lifetime::Unstated, |millis| span(millis).into());
        let mut grant = Grant::of_access_token(access_text(self.access), lifetime);
        if !self.silent {
            grant = grant.with_refresh_token(renewal_text(self.renewal));
        }
        match self.hint {
            Some(millis) => grant.with_refresh_in(span(millis)),
            None => grant,
        }
    }
}

impl Server {
    pub(crate) fn new(reuse: Reuse, old_access_dies: bool) -> Self {
        Self {
            reuse,
            old_access_dies,
            families: Vec::new(),
            renewals: Vec::new(),
            access: Vec::new(),
            pairs: BTreeSet::new(),
            revoked_for_reuse: 0,
            answered_again: 0,
        }
    }

    /// A user logs in: a new family.
    pub(crate) fn login(&mut self, terms: Terms, truth: i64) -> Answer {
        self.families.push(false);
        let renewal = self.renew(self.families.len() - 1, None);
        self.issue(renewal, Terms { cached: false, silent: false, ..terms }, truth)
    }

    /// A refresh token is presented; `None` where the server declines.
    pub(crate) fn present(&mut self, shown: Number, terms: Terms, truth: i64) -> Option<Answer> {
        let Renewal { family, used_at, successor, confirmed, predecessor } =
            *self.renewals.get(shown as usize)?;
        if self.families[family] {
            return None;
        }
        if let Some(before) = predecessor {
            self.renewals[before as usize].confirmed = true;
        }
        let within = |window: i64| used_at.is_some_and(|used_at| truth < used_at + window);
        let next = match (self.reuse, successor) {
            (Reuse::Unrotated, _) => Some(shown),
            (_, None) => Some(self.renew(family, Some(shown))),
            (Reuse::OverlapSuccessors(window), Some(_)) if within(window) => {
                Some(self.renew(family, Some(shown)))
            }
            (Reuse::Idempotent(window), Some(same))
                if within(window) && self.renewals[same as usize].used_at.is_none() =>
            {
                Some(same)
            }
            (Reuse::Confirm, Some(same)) if !confirmed => Some(same),
            (
                Reuse::Strict | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_) | Reuse::Confirm,
                Some(_),
            ) => None,
        };
        let Some(next) = next else {
            self.revoke_family(family);
            self.revoked_for_reuse += 1;
            return None;
        };
        self.answered_again += u64::from(next != shown && successor.is_some());
        let mark = &mut self.renewals[shown as usize];
        mark.used_at = mark.used_at.or(Some(truth));
        if next != shown {
            mark.successor = Some(next);
        }
        let silent = terms.silent && next == shown;
        Some(self.issue(next, Terms { silent, ..terms }, truth))
    }

    fn renew(&mut self, family: usize, predecessor: Option<Number>) -> Number {
        let renewal =
            Renewal { family, used_at: None, successor: None, confirmed: false, predecessor };
        self.renewals.push(renewal);
        Number::try_from(self.renewals.len() - 1).expect("few")
    }

    fn issue(&mut self, renewal: Number, terms: Terms, truth: i64) -> Answer {
        let family = self.renewals[renewal as usize].family;
        let newest = self.access.iter().enumerate().rev().find(|(_, one)| one.family == family);
        let newest =
            newest.filter(|(_, one)| terms.cached && !one.dead && one.expires_at - truth > 20_000);
        let (access, lifetime, same) = match newest {
            Some((index, one)) => {
                (Number::try_from(index).expect("few"), one.expires_at - truth, true)
            }
            None => {
                if self.old_access_dies {
                    let family = self.access.iter_mut().filter(|one| one.family == family);
                    family.for_each(|one| one.dead = true);
                }
                let expires_at = truth + terms.lifetime;
                self.access.push(Access { family, expires_at, dead: false, with: renewal });
                let number = Number::try_from(self.access.len() - 1).expect("few");
                (number, terms.lifetime, false)
            }
        };
        self.pairs.insert((Some(access), renewal));
        self.pairs.insert((None, renewal));
        let lifetime = (terms.stated || same).then_some(lifetime);
        Answer { access, renewal, silent: terms.silent, lifetime, hint: terms.hint, same }
    }

    /// Whether these were granted together.
    pub(crate) fn granted(&self, access: Option<Number>, renewal: Number) -> bool {
        self.pairs.contains(&(access, renewal))
    }

    /// Whether the server still knows the access token as live. Using one confirms its grant.
    pub(crate) fn accepts(&mut self, access: Number, truth: i64) -> bool {
        let Access { family, expires_at, dead, with } = self.access[access as usize];
        let live = !dead && !self.families[family] && truth < expires_at;
        if let (true, Some(before)) = (live, self.renewals[with as usize].predecessor) {
            self.renewals[before as usize].confirmed = true;
        }
        live
    }

    /// Whether it has died of age alone.
    pub(crate) fn is_out_of_date(&self, access: Number, truth: i64) -> bool {
        truth >= self.access[access as usize].expires_at
    }

    pub(crate) fn family_of_access(&self, access: Number) -> usize {
        self.access[access as usize].family
    }

    pub(crate) fn family_of(&self, renewal: Number) -> usize {
        self.renewals[renewal as usize].family
    }

    /// Whether `later` came of `earlier`.
    pub(crate) fn descends(&self, later: Number, earlier: Number) -> bool {
        let before = |one: Number| self.renewals[one as usize].predecessor;
        std::iter::successors(before(later), |one| before(*one)).any(|one| one == earlier)
    }

    /// Whether both came of the same one.
    pub(crate) fn are_twins(&self, one: Number, other: Number) -> bool {
        let before = |number: Number| self.renewals[number as usize].predecessor;
        before(one).is_some() && before(one) == before(other)
    }

    pub(crate) fn revoke_family(&mut self, family: usize) {
        self.families[family] = true;
    }
}
