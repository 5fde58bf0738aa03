//! What the authorization server says to every request for a while, whatever that presents.

use perennial::refresh::RefreshError;

use super::fate::Fate;
use super::log::Corner;
use super::network::{Outcome, Reply};
use super::world::World;

/// How the server is disposed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fine,
    /// `invalid_client`: its secret is being changed.
    Misconfigured,
    /// A 4xx without an OAuth error.
    Unexplained,
}

impl World {
    /// The server takes to refusing everybody, for seconds or for long.
    pub(crate) fn turn_weather(&mut self) {
        let (weather, spans) = match self.choices.below(4) {
            0 | 1 => (Weather::Misconfigured, [20_000, 400_000, 3_600_000]),
            _ => (Weather::Unexplained, [5_000, 500_000, 1_500_000]),
        };
        let span = spans[self.choices.below(3) as usize];
        self.weather = (weather, self.truth + span);
        self.note("refuses everybody until", 0, span);
    }

    /// The answer to a request that the server refuses for what it is, and not for its grant.
    pub(crate) fn refusal(&mut self, fate: Fate) -> Option<Reply> {
        let (weather, until) = self.weather;
        let weather = if self.truth < until && !self.healed { weather } else { Weather::Fine };
        let (error, outcome) = match (weather, fate) {
            (Weather::Misconfigured, _) | (Weather::Fine, Fate::Misconfigured) => {
                self.saw(Corner::Misconfigured);
                (RefreshError::misconfigured("invalid_client"), Outcome::Misconfigured)
            }
            (Weather::Unexplained, _) | (Weather::Fine, Fate::Unexplained) => {
                self.saw(Corner::Unexplained);
                (RefreshError::unexplained("403, text/html"), Outcome::Unexplained)
            }
            (Weather::Fine, _) => return None,
        };
        Some(Reply::Failed(error, outcome, None))
    }
}
