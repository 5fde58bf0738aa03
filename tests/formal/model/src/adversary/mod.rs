//! The machine against an adversary. The authorization server answers any of the last refreshes at
//! any time, once, again, or never: with a fresh token, a dead one, the old one, or one of the five
//! failures. The resource server rejects and accepts as it likes. Callers come, wait, leave, log in and
//! out. Time passes, or jumps.
//!
//! Between them and the real machine stands a small copy of what a session does with the machine's
//! answers: who waits, who is woken and asks again, which grant is held. Callers that are alike are
//! not told apart. As in [`crate::alone`], there is no bound on time, refreshes or tokens.

mod actions;
mod callers;
mod steps;

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use perennial::lifecycle::Reuse;

use crate::corners::{self, Corner};
use crate::history::History;
use crate::rules::{self, Rule};
use crate::runner::{Scenario, Set, Step};
use crate::sentences::sentences;
use crate::tick::{FLIGHTS, Relative, Tick};
use crate::world::{Machine, World};

pub(crate) use actions::Action;
use callers::Caller;

/// Room for the callers of the largest model.
const CALLERS: usize = 3;
/// How many refreshes that are paid for are remembered: one more than a window can hold.
const CHARGES: usize = 4;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    machine: Machine,
    history: History,
    now: Tick,
    /// In order, since callers that are alike are one.
    callers: [Caller; CALLERS],
    /// How many refreshes were started since the one that brought the grant that is held; as many as
    /// are told apart where a login brought it.
    grant_from: u8,
    /// How many refreshes were started since the last login or logout.
    of_epoch: u8,
    /// How often the refresh token that is held was sent, and may have been honoured, and when first.
    presented: u8,
    first_sent: Option<Tick>,
    /// Until when a late answer is to be waited for, where one is.
    late_until: Option<Tick>,
    /// What came while its repetition was out.
    held_back: Option<HeldBack>,
    /// When refreshes were paid for, the last one first, as far as that matters still.
    charges: [Option<Tick>; CHARGES],
}

/// An answer to the refresh that was started so many before the newest one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct HeldBack {
    back: u8,
    sent: Tick,
    lifetime: u8,
    same: bool,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let relative = &mut Relative::new(state, self.now);
        self.machine.hash(relative);
        self.history.hash(relative);
        for caller in self.callers {
            caller.code().hash(relative);
        }
        (self.grant_from, self.of_epoch, self.presented, self.first_sent).hash(relative);
        (self.late_until, self.held_back).hash(relative);
        self.charges.hash(relative);
    }
}

sentences! {
    /// The rules beyond those of the machine alone.
    Held {
        Presented = "B6: a refresh token that may be refused is not presented again before the last chance of the token in use, nor while its late answer is waited for",
        Within = "B6: a retry within the server's window ends within it",
        Bounded = "B9: no stretch of time sees more paid refreshes than the budget holds",
        NobodyLeft = "B11: after a logout nobody waits, and nobody is handed a token",
        Newest = "B14: the grant that is held is the newest that came of this epoch, but for one held back",
        HandsNewest = "B2: whoever is handed a token is handed the newest one, and it works",
        Something = "C3: whoever waits has an instant, or a refresh, to wait for",
        Told = "C3: left alone with the clock, whoever waits is told or tried for",
    }
}

sentences! {
    Scene {
        TwoWait = "two callers wait for one refresh",
        ForNobody = "everybody has left when a refresh lands",
        OrphanAfterLogin = "a grant comes after the next login, and is released",
        Twice = "a refresh is answered twice, and the second answer dropped",
        Loop = "a token is rejected that never worked, and the budget is spent",
        StaleHelped = "a caller whose old token was rejected gets the present one at once",
        Joins = "a caller whose token was rejected joins the refresh that is out",
        StaysOn = "a patient caller waits on through a failure",
        Told = "an impatient caller is told of a failure",
        LoggedOut = "a waiting caller is told of a logout",
        LoggedIn = "a waiting caller is served by a login",
        ServedMeanwhile = "the old token is handed out while a refresh is out",
        Again = "a refresh token is presented a second time",
        KeepsItsAnswer = "a caller keeps its 401, and the token stays in use",
        ReplayHelps = "a request is repeated with the next token, and succeeds",
        ReplayInVain = "a request is repeated with the next token, and rejected again",
        TellsAgain = "an answer that was held back is handed out, as its repetition came to nothing",
        NotTwice = "an answer that was held back is dropped, as its repetition has landed",
        OrphanedAgain = "an answer that was held back belongs to nobody any more",
        WaitsOut = "a patient caller waits until a backoff is over",
    }
}

static RULES: LazyLock<Vec<&'static str>> = LazyLock::new(|| [Rule::ALL, Held::ALL].concat());
static CORNERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| [Corner::ALL, Scene::ALL].concat());

impl Held {
    /// The set of this rule, beside those of the machine alone, where it is broken.
    const fn when_not(self, kept: bool) -> Set {
        if kept { 0 } else { self.set() << Rule::ALL.len() }
    }
}

impl Scene {
    /// The set of this scene, beside the corners of the machine alone.
    const fn if_so(self, so: bool) -> Set {
        self.when(so) << Corner::ALL.len()
    }
}

#[derive(Debug)]
pub(crate) struct Adversary {
    pub(crate) world: World,
    /// How many callers there are.
    pub(crate) callers: usize,
}

impl Scenario for Adversary {
    type State = State;
    type Action = Action;

    fn rules(&self) -> &'static [&'static str] {
        &RULES
    }

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn possible(&self) -> Set {
        let scenes = ((1 << Scene::ALL.len()) - 1) << Corner::ALL.len();
        // The clock does not go back here, and the same token never comes with a longer life.
        let absent = Corner::PulledIn.set() | Corner::SameLonger.set();
        let held_back = Scene::TellsAgain.if_so(true)
            | Scene::NotTwice.if_so(true)
            | Scene::OrphanedAgain.if_so(true);
        let scenes = match self.world.reuse {
            Reuse::ConfirmByUse => scenes,
            Reuse::Strict
            | Reuse::OverlapAccessOnly(_)
            | Reuse::OverlapSuccessors(_)
            | Reuse::Idempotent(_)
            | Reuse::Unrotated => scenes & !held_back,
        };
        (corners::possible(self.world.reuse) & !absent) | scenes
    }

    fn start(&self) -> State {
        State {
            machine: self.world.past(),
            history: History::NONE,
            now: Tick(0),
            callers: [Caller::Away; CALLERS],
            grant_from: FLIGHTS,
            of_epoch: 0,
            presented: 0,
            first_sent: None,
            late_until: None,
            held_back: None,
            charges: [None; CHARGES],
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.offer(state, actions);
    }

    fn step(&self, state: &State, action: Action, wanted: Set) -> Step<State> {
        self.take(state, action, wanted)
    }

    fn judge(&self, state: &State) -> Set {
        rules::judge(&self.world, &state.machine, state.now) | self.waits(state)
    }
}
