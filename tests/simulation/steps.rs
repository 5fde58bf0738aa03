//! The steps of a world while it is troubled, and what is checked after each.

use perennial::lifecycle::State;

use super::callers::{Attempt, User};
use super::ledger::Received;
use super::life::{Errand, Life, Task};
use super::log::Corner;
use super::plan::Stores;
use super::server::Reuse;
use super::store::{Keep, numbers};
use super::told::Manner;
use super::world::World;

/// How many logins, logouts and closes of one session are under way at once, at most.
const ERRANDS: usize = 3;

impl Life {
    /// Takes steps until the plan's are taken, there are no choices left, or a rule is broken.
    pub(crate) fn trouble(&mut self) -> u64 {
        let mut steps = 0;
        while steps < u64::from(self.plan.steps) {
            if self.shared.lock().choices.exhausted() {
                break;
            }
            steps += 1;
            self.step();
            self.inspect();
            if self.shared.lock().violation.is_some() {
                break;
            }
        }
        steps
    }

    fn choose(&self, bound: usize) -> usize {
        let bound = u32::try_from(bound).expect("few");
        self.shared.lock().choices.below(bound) as usize
    }

    fn step(&mut self) {
        let faults = !self.plan.calm;
        match self.choose(64) {
            0..=22 => self.run_one(),
            23..=30 => self.wait_for_next(),
            31 | 32 => self.wait(&[100, 1_000, 5_000, 20_000]),
            33 => self.wait(&[31_000, 55_000, 250_000, 3_300_000]),
            34..=45 => self.come(),
            46 | 47 if faults => self.drop_task(),
            48 if faults => self.crash_one(),
            49 | 50 if faults => self.disturb_clock(),
            51..=53 => self.call_at_once(),
            54 | 55 => self.program(),
            56 | 57 => self.poll_any(),
            58 if faults => self.turn_store(),
            59 | 60 if faults => {
                let mut world = self.shared.lock();
                world.moody = !world.moody;
            }
            61 if faults => self.reopen(),
            62 if faults => self.shared.lock().turn_weather(),
            _ => self.run_one(),
        }
    }

    /// Polls a task that is woken; where there is none, time goes on.
    fn run_one(&mut self) {
        let woken: Vec<usize> =
            (0..self.tasks.len()).filter(|at| self.tasks[*at].is_woken()).collect();
        if woken.is_empty() {
            return self.wait_for_next();
        }
        let chosen = self.choose(woken.len());
        self.poll(woken[chosen]);
    }

    fn wait_for_next(&mut self) {
        if self.plan.calm && self.tasks.iter().any(Task::is_woken) {
            return self.run_one();
        }
        if let Some(millis) = self.shared.next() {
            self.shared.pass(millis.max(0), None);
        }
    }

    /// Lets time go by, whoever is woken meanwhile; in a world without faults not even the executor
    /// is late.
    fn wait(&mut self, spans: &[i64]) {
        let millis = spans[self.choose(spans.len())];
        if self.plan.calm {
            // One renewal after another, without anything between, shows nothing new.
            self.run_until(millis.min(8 * self.plan.lifetime), |_| false);
        } else {
            self.shared.pass(millis, None);
        }
    }

    /// The sessions that are open.
    pub(crate) fn users(&self) -> Vec<User> {
        let seats = self.processes.iter().flat_map(|process| &process.seats);
        seats.filter_map(|seat| seat.user.clone()).collect()
    }

    fn any_user(&self) -> Option<User> {
        let mut users = self.users();
        if users.is_empty() {
            return None;
        }
        let chosen = self.choose(users.len());
        Some(users.swap_remove(chosen))
    }

    fn come(&mut self) {
        let Some(user) = self.any_user() else { return };
        // So many wait already that another one shows nothing new.
        if self.tasks.len() > 24 {
            return self.run_one();
        }
        let id = user.id;
        let manner = match self.choose(8) {
            0..=2 => Manner::Bare,
            3 => Manner::Patient(20),
            4 => Manner::Patient(600),
            5 => Manner::Within([1, 45][self.choose(2)]),
            6 => Manner::Lasting([20, 200, 3_000][self.choose(3)]),
            _ => return self.spawn(id, Errand::Watcher, user.watch()),
        };
        // A world without faults tells nobody that tokens are too brief, or time is up.
        let manner = if self.plan.calm { Manner::Bare } else { manner };
        self.spawn(id, Errand::Caller, user.visit(manner));
    }

    fn drop_task(&mut self) {
        let may_drop =
            |errand| matches!(errand, Errand::Caller | Errand::Watcher | Errand::Program);
        let droppable = (0..self.tasks.len()).filter(|at| may_drop(self.tasks[*at].errand));
        let droppable: Vec<usize> = droppable.collect();
        if droppable.is_empty() {
            return;
        }
        let chosen = droppable[self.choose(droppable.len())];
        let task = self.tasks.remove(chosen);
        let (id, errand) = (task.session, task.errand);
        drop(task);
        self.adopt();
        let alone = !self.tasks.iter().any(|task| task.session == id);
        let mut world = self.shared.lock();
        world.note("is dropped", id, 0);
        if errand == Errand::Caller {
            let in_flight = alone && world.is_out(id);
            world.saw(if in_flight { Corner::DriverDropped } else { Corner::CallerDropped });
        }
    }

    fn crash_one(&mut self) {
        let process = self.choose(self.processes.len());
        self.crash(process);
        for seat in 0..self.processes[process].seats.len() {
            self.open(process, seat);
        }
    }

    fn disturb_clock(&mut self) {
        let process = self.choose(self.processes.len());
        let machine = self.processes[process].machine;
        let kind = self.choose(8);
        match kind {
            0..=4 => {
                let millis = [300, 8_000, 40_000, 600_000, 7_200_000][kind];
                self.shared.lock().saw(Corner::Slept);
                self.shared.pass(millis, Some(machine));
                self.shared.lock().note("slept", process, millis);
            }
            5 | 6 => {
                let millis = [-45_000, -4_000_000][kind - 5];
                let mut world = self.shared.lock();
                world.machines[machine].hands.set(millis);
                world.saw(Corner::SetBack);
                world.skewed = true;
                let raw = world.plan.raw_clock;
                let ledgers = world.ledgers.iter_mut();
                for ledger in ledgers.filter(|ledger| raw && ledger.process == process) {
                    ledger.crooked = true;
                    ledger.held = None;
                }
                world.note("set back", process, millis);
            }
            _ => {
                let mut world = self.shared.lock();
                world.machines[machine].hands.set(90_000);
                world.saw(Corner::SetForward);
                world.skewed |= world.plan.stores == Stores::All;
                world.note("set forward", process, 90_000);
            }
        }
    }

    /// What never waits.
    fn call_at_once(&mut self) {
        let Some(user) = self.any_user() else { return };
        let saved = user.session.is_saved();
        let result = match self.choose(4) {
            0 => user.session.try_token(),
            1 => user.session.with_token(Clone::clone),
            2 => {
                let seats = self.processes.iter_mut().flat_map(|process| &mut process.seats);
                let mut seats = seats
                    .filter(|seat| seat.user.as_ref().is_some_and(|other| other.id == user.id));
                let reader = seats.next().and_then(|seat| seat.reader.as_mut());
                match reader.map(|reader| reader.token().cloned()) {
                    Some(result) => result,
                    None => return,
                }
            }
            _ => {
                let _ = user.session.state();
                return;
            }
        };
        self.adopt();
        if let Ok(token) = user.told(Manner::Try, result, saved) {
            let endpoint = self.shared.lock().endpoint();
            let _ = user.uses(&token, endpoint, Attempt::First);
        }
    }

    fn program(&mut self) {
        let Some(user) = self.any_user() else { return };
        let id = user.id;
        // Several at once, as a program with many threads may.
        let errands = self.tasks.iter().filter(|task| task.session == id);
        if errands.filter(|task| task.errand == Errand::Program).count() >= ERRANDS {
            return;
        }
        match self.choose(4) {
            0 => self.spawn(id, Errand::Program, user.close()),
            1 | 2 => {
                let needed = user.session.try_token().is_err_and(|error| error.is_login_required());
                self.adopt();
                if needed || self.choose(3) == 1 {
                    self.spawn(id, Errand::Program, user.log_in());
                }
            }
            _ if !self.plan.calm => self.spawn(id, Errand::Program, user.log_out()),
            _ => {}
        }
    }

    fn poll_any(&mut self) {
        if !self.tasks.is_empty() {
            let chosen = self.choose(self.tasks.len());
            self.poll(chosen);
        }
    }

    fn turn_store(&mut self) {
        let mut world = self.shared.lock();
        if !world.stores.is_empty() {
            let bound = u32::try_from(world.stores.len()).expect("few");
            let store = world.choices.below(bound) as usize;
            let damages = !world.stores[store].damaged && world.choices.below(4) == 1;
            world.stores[store].damaged = damages;
        }
    }

    fn reopen(&mut self) {
        let process = self.choose(self.processes.len());
        let seat = self.choose(self.processes[process].seats.len());
        self.let_go(process, seat);
        self.open(process, seat);
    }

    /// Looks into the sessions' hands, where something came and nothing is being stored.
    pub(crate) fn inspect(&self) {
        for user in
            self.processes.iter().flat_map(|one| &one.seats).filter_map(|seat| seat.user.as_ref())
        {
            let (dirty, idle) = {
                let world = self.shared.lock();
                let ledger = &world.ledgers[user.id];
                (ledger.dirty, ledger.storing == 0)
            };
            // A late answer is held back while its repetition is out.
            let out = matches!(user.session.state(), State::Refreshing(_));
            let idle = idle && !(out && self.plan.reuse == Reuse::Confirm);
            if dirty {
                let held = user.session.grant().and_then(|grant| numbers(&grant).1);
                let saved = user.session.is_saved();
                let mut world = self.shared.lock();
                world.takes_in(user.id, held, saved);
                if idle {
                    world.is_held(user.id, held, saved, false);
                }
            }
        }
    }
}

impl World {
    /// What is held has been taken in, and so has what could not be stored.
    fn takes_in(&mut self, session: usize, held: Option<u32>, saved: bool) {
        let unsaved = self.ledgers[session].newest().filter(|_| !saved);
        let unsaved = unsaved.map(|newest| newest.renewal);
        for one in &mut self.ledgers[session].received {
            // A server that answers twice may have given it twice.
            one.settled |= [held, unsaved].contains(&Some(one.renewal));
        }
    }

    /// Rules B14, F2: what came is held, or stored, or was given to the program.
    pub(crate) fn is_held(&mut self, session: usize, held: Option<u32>, saved: bool, closed: bool) {
        // A revocation flies, and takes whoever drives it: it is done once all has landed.
        // Which of the holders of one store has made an orphan of what is not told apart.
        let shared = self.is_shared(session);
        let flies = !self.plan.hook && !closed;
        let keep = self.ledgers[session].store.map(|store| &self.stores[store]);
        let stored = keep.and_then(Keep::grant).and_then(|stored| numbers(&stored.grant).1);
        let ledger = &mut self.ledgers[session];
        ledger.dirty = false;
        let (epoch, out) = (ledger.epoch, ledger.out);
        let newest = ledger.newest().map(|newest| newest.call);
        let adopted = held.is_some_and(|held| ledger.shown.contains(&held));
        let emptied = ledger.bare && !out;
        let orphans = &ledger.orphans;
        // Of two answers at once a store keeps the one that it was given first.
        let own = |one: &Received| held == Some(one.renewal) && one.epoch == epoch;
        let known = ledger.store.is_some() && ledger.received.iter().any(own);
        let server = &self.server;
        let is_twin = |one: &Received| {
            known
                || stored.is_some_and(|stored| {
                    held == Some(stored) && server.are_twins(stored, one.renewal)
                })
        };
        let mut lost = None;
        for one in ledger.received.iter_mut().filter(|one| !one.settled) {
            let here = [held, stored].contains(&Some(one.renewal))
                || orphans.contains(&one.renewal)
                || emptied;
            let present = one.epoch == epoch;
            let outrun = present && (Some(one.call) != newest || adopted || is_twin(one));
            one.settled = here || outrun || (present && !saved);
            if !one.settled && (present || !flies && !shared) {
                lost = Some(one.renewal);
            }
        }
        ledger
            .received
            .retain(|one| !one.settled || one.epoch == epoch && Some(one.call) == newest);
        if let Some(renewal) = lost {
            let how =
                format!("the refresh token r{renewal} came, and is neither held nor an orphan");
            self.broken(session, "B14", &how);
        }
        self.is_stored(session, held, saved);
    }

    /// Rule F2: where all is said to be saved, the store holds what the session holds.
    fn is_stored(&mut self, session: usize, held: Option<u32>, saved: bool) {
        let ledger = &self.ledgers[session];
        // Among holders of one store each writes its intents over what others have granted.
        let own = saved && !ledger.bare && !self.is_shared(session);
        let Some(store) = ledger.store.filter(|_| own) else { return };
        let keep = &self.stores[store];
        let stored = keep.grant().and_then(|stored| numbers(&stored.grant).1);
        // It may be ahead: of a close that stored what came, or a login that was dropped halfway.
        let behind = match (stored, held) {
            (Some(stored), Some(held)) => self.server.descends(held, stored),
            (None, _) | (_, None) => false,
        };
        if keep.writer == Some(session) && behind {
            self.broken(session, "F2", "all is saved, it says, and its store holds an older grant");
        }
    }
}
