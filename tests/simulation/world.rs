//! The world that the sessions live in: everything behind their ports, under one lock, and what is
//! to happen later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use perennial::refresh::BoxFuture;

use super::choices::Choices;
use super::clock::Hands;
use super::ledger::Ledger;
use super::log::{Corner, Counts, Log};
use super::network::Call;
use super::plan::Plan;
use super::server::{Server, Terms};
use super::store::{Keep, Op};
use super::weather::Weather;

/// When every world begins.
pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) struct Machine {
    pub(crate) hands: Hands,
    /// Who sleeps until when, by the monotonic clock.
    pub(crate) bells: BTreeMap<(i64, u64), Waker>,
}

/// What is to happen at some instant.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Happening {
    /// A request reaches the authorization server.
    Arrives(usize),
    /// An answer reaches the client.
    Answers(usize),
    /// A store does what it was asked.
    Stores(usize),
}

pub(crate) struct World {
    pub(crate) choices: Box<dyn Choices>,
    pub(crate) plan: Plan,
    pub(crate) log: Log,
    pub(crate) counts: Counts,
    /// What time it really is, in milliseconds: the server's clock.
    pub(crate) truth: i64,
    pub(crate) machines: Vec<Machine>,
    pub(crate) server: Server,
    pub(crate) calls: Vec<Call>,
    pub(crate) stores: Vec<Keep>,
    pub(crate) ops: Vec<Op>,
    pub(crate) ledgers: Vec<Ledger>,
    /// Tasks that sessions have spawned, with whose they are.
    pub(crate) spawned: Vec<(usize, BoxFuture<()>)>,
    /// Nothing fails any more.
    pub(crate) healed: bool,
    /// How the authorization server is disposed, and until when.
    pub(crate) weather: (Weather, i64),
    /// Until when each process certainly asks nothing, since its client was refused.
    pub(crate) barred: Vec<i64>,
    /// The resource server rejects live tokens at will.
    pub(crate) moody: bool,
    /// A wall clock was set so that stored lifetimes, or hidden sleep, may mislead a client.
    pub(crate) skewed: bool,
    /// A login, logout or close is being polled.
    pub(crate) in_program: bool,
    pub(crate) violation: Option<String>,
    agenda: BTreeMap<(i64, u64), Happening>,
    numbers: u64,
}

/// The world, as its ports hold it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `millis` go by at once, and everything happen that is due then. The machine `asleep`
    /// notices only that its wall clock has moved.
    pub(crate) fn pass(&self, millis: i64, asleep: Option<usize>) {
        let wakers = {
            let mut world = self.lock();
            world.truth += millis;
            let mut wakers = Vec::new();
            for (index, machine) in world.machines.iter_mut().enumerate() {
                machine.hands.pass(millis, asleep == Some(index));
                let later = machine.bells.split_off(&(machine.hands.mono() + 1, 0));
                wakers.extend(std::mem::replace(&mut machine.bells, later).into_values());
            }
            world.happen(&mut wakers);
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How long it is until something happens by itself.
    pub(crate) fn next(&self) -> Option<i64> {
        let world = self.lock();
        let agenda = world.agenda.keys().next().map(|(at, _)| at - world.truth);
        let bells = world.machines.iter().filter_map(|machine| {
            machine.bells.keys().next().map(|(at, _)| at - machine.hands.mono())
        });
        bells.chain(agenda).min()
    }
}

impl World {
    pub(crate) fn new(choices: Box<dyn Choices>, plan: Plan, all: bool) -> Self {
        Self {
            choices,
            plan,
            log: Log::new(all),
            counts: Counts::new(),
            truth: START,
            machines: Vec::new(),
            server: Server::new(plan.reuse, plan.old_access_dies),
            calls: Vec::new(),
            stores: Vec::new(),
            ops: Vec::new(),
            ledgers: Vec::new(),
            spawned: Vec::new(),
            healed: false,
            weather: (Weather::Fine, 0),
            barred: Vec::new(),
            moody: false,
            skewed: false,
            in_program: false,
            violation: None,
            agenda: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// A number that is given once.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn note(&mut self, what: &'static str, whose: usize, number: impl Into<i64>) {
        self.log.note(self.truth, what, whose, number.into());
    }

    pub(crate) fn saw(&mut self, corner: Corner) {
        self.counts.saw(corner);
    }

    /// Notes that a rule was broken. The first one counts.
    pub(crate) fn broken(&mut self, whose: usize, rule: &str, how: &str) {
        self.violation.get_or_insert_with(|| format!("rule {rule}, session #{whose}: {how}"));
    }

    /// One of `kinds` faults at the given odds, or zero for none.
    pub(crate) fn fault(&mut self, kinds: usize, odds: u32) -> u32 {
        if self.healed || self.plan.calm || self.choices.below(odds) != odds - 1 {
            return 0;
        }
        self.choices.below(u32::try_from(kinds).expect("few"))
    }

    /// Something happens after `delay`; or now.
    pub(crate) fn later(&mut self, delay: i64, happening: Happening, wakers: &mut Vec<Waker>) {
        if delay <= 0 {
            self.take_place(happening, wakers);
        } else {
            let key = (self.truth + delay, self.number());
            self.agenda.insert(key, happening);
        }
    }

    fn happen(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(entry) = self.agenda.first_entry().filter(|one| one.key().0 <= self.truth) {
            let happening = entry.remove();
            self.take_place(happening, wakers);
        }
    }

    fn take_place(&mut self, happening: Happening, wakers: &mut Vec<Waker>) {
        match happening {
            Happening::Arrives(call) => self.arrives(call, wakers),
            Happening::Answers(call) => self.answers(call, wakers),
            Happening::Stores(op) => self.stores(op, wakers),
        }
    }

    /// What the next grant is like.
    pub(crate) fn terms(&mut self) -> Terms {
        let lifetime = self.plan.lifetime;
        let plain = Terms { lifetime, stated: true, hint: None, cached: false, silent: false };
        if self.healed || self.plan.calm {
            return plain;
        }
        match self.choices.below(24) {
            17 => Terms { lifetime: 0, ..plain },
            18 => Terms { lifetime: 3_600_000, stated: false, ..plain },
            19 => Terms { hint: Some(lifetime / 2), ..plain },
            20 => Terms { cached: true, ..plain },
            21 | 22 => Terms { silent: true, ..plain },
            23 => Terms { lifetime: lifetime / 2, ..plain },
            _ => plain,
        }
    }
}
