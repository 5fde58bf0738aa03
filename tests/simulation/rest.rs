//! The end of a world: the network heals, time goes on, and everybody is answered.

use super::callers::{Attempt, Endpoint, Response, User};
use super::life::{Errand, Life, Task};
use super::store::numbers;
use super::told::Manner;

/// How long callers may still wait once all faults have ended: longer than any patience, any
/// `Retry-After`, and any deadline.
const ENOUGH: i64 = 3 * 3_600_000;

/// More polls than any instant of a world at rest could need: whoever needs more spins.
const SPINS: u64 = 2_000;

/// How many tries a session has for a token, and for how many of its refreshes' deadlines: what hung
/// when all healed may have a deadline of its own, and another one for its answer to be stored.
const TRIES: usize = 60;
const DEADLINES: i64 = 3;

impl Life {
    pub(crate) fn come_to_rest(&mut self) {
        self.shared.lock().heal();
        // Without a timer nobody wakes by itself, and what others renew meanwhile shows nothing new.
        let waits =
            |life: &Self, task: &Task| Self::is_waiting(task) && life.has_timer(task.session);
        self.run_until(ENOUGH, |life| !life.tasks.iter().any(|task| waits(life, task)));
        if self.tasks.iter().any(Self::is_waiting) {
            self.poll_those_without_timer();
        }
        // Where a clock has run back, a close without a timer waits for what is far away.
        let hangs = |task: &&Task| {
            let crooked = self.shared.lock().ledgers[task.session].crooked;
            Self::is_waiting(task) && (!crooked || self.has_timer(task.session))
        };
        if let Some(task) = self.tasks.iter().find(hangs) {
            let how = format!("a {:?} waits for ever", task.errand);
            self.shared.lock().broken(task.session, "C3", &how);
        }
        for user in self.users() {
            if self.is_broken() {
                return;
            }
            self.gets_a_token(&user);
            self.closes(&user);
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.shared.lock().violation.is_some()
    }

    fn is_waiting(task: &Task) -> bool {
        matches!(task.errand, Errand::Caller | Errand::Program)
    }

    /// Runs what is woken, and lets time go on where nothing is, until `done`, or for `limit`.
    pub(crate) fn run_until(&mut self, limit: i64, done: impl Fn(&Self) -> bool) {
        let end = self.shared.lock().truth + limit;
        let mut began = self.polls;
        while !done(self) && !self.is_broken() {
            if self.polls - began > SPINS {
                return self.shared.lock().broken(0, "B12", "something is polled without end");
            }
            if let Some(woken) = self.tasks.iter().position(Task::is_woken) {
                self.poll(woken);
                self.inspect();
                continue;
            }
            match self.shared.next() {
                Some(millis) if self.shared.lock().truth + millis <= end => {
                    self.shared.pass(millis.max(0), None);
                    if millis > 0 {
                        began = self.polls;
                    }
                }
                Some(_) | None => return,
            }
        }
    }

    /// Rule B13: without a timer a deadline is kept when a caller is next polled.
    fn poll_those_without_timer(&mut self) {
        for _ in 0..4 {
            let end = self.shared.lock().truth + 31_000;
            self.run_until(31_000, |_| false);
            let left = end - self.shared.lock().truth;
            self.shared.pass(left, None);
            let mut index = 0;
            while index < self.tasks.len() {
                let before = self.tasks.len();
                if !self.has_timer(self.tasks[index].session) {
                    self.poll(index);
                }
                if self.tasks.len() >= before {
                    index += 1;
                }
            }
            self.run_until(0, |_| false);
        }
    }

    fn has_timer(&self, session: usize) -> bool {
        let seats = self.processes.iter().flat_map(|process| &process.seats);
        let mut own =
            seats.filter(|seat| seat.user.as_ref().is_some_and(|user| user.id == session));
        // What is left of a session that was let go has nobody who would poll it.
        own.next().is_some_and(|seat| seat.timer)
    }

    /// Does `errand` to its end.
    fn finish(&mut self, user: &User, future: impl Future<Output = ()> + Send + 'static) {
        let waits = |life: &Self| {
            life.tasks.iter().any(|task| {
                task.session == user.id && matches!(task.errand, Errand::Caller | Errand::Program)
            })
        };
        self.spawn(user.id, Errand::Program, future);
        let limit = if self.has_timer(user.id) { ENOUGH } else { 0 };
        self.run_until(limit, |life| !waits(life));
        for _ in 0..4 {
            if !waits(self) || self.has_timer(user.id) {
                break;
            }
            self.poll_those_without_timer();
        }
        let crooked = self.shared.lock().ledgers[user.id].crooked;
        if waits(self) && !self.is_broken() && (!crooked || self.has_timer(user.id)) {
            self.shared.lock().broken(user.id, "C3", "waits for ever, though nothing fails");
        }
    }

    /// Every session gets a token in the end, if need be after a login.
    fn gets_a_token(&mut self, user: &User) {
        let end = self.shared.lock().truth + DEADLINES * self.plan.deadline;
        let mut tries = 0;
        while tries < TRIES || self.shared.lock().truth < end {
            tries += 1;
            let told = std::sync::Arc::new(std::sync::Mutex::new(None));
            let (tell, asking) = (std::sync::Arc::clone(&told), user.clone());
            self.finish(user, async move {
                let result = asking.ask(Manner::Bare).await;
                let used = result.map(|token| asking.uses(&token, Endpoint::Sound, Attempt::First));
                *tell.lock().expect("no panic") = Some(used);
            });
            if self.is_broken() {
                return;
            }
            let told = told.lock().expect("no panic").take();
            match told {
                Some(Ok(Response::Accepted)) => return,
                Some(Ok(Response::Again)) | None => {}
                // Until another one can be paid for, or may be asked for, which takes an hour at most.
                Some(Ok(Response::Refused)) => self.shared.pass(10_000 << tries.min(8), None),
                Some(Err(error)) if error.is_login_required() => {
                    self.finish(user, user.clone().log_in());
                }
                Some(Err(error)) => {
                    let now = self.shared.lock().ledgers[user.id].now();
                    let wanted = error.when_to_retry().map_or(1_000, |at| at.as_millis() - now);
                    self.shared.pass(wanted.clamp(1, 3_700_000), None);
                }
            }
        }
        self.shared.lock().broken(user.id, "B7", "gets no token, though nothing fails any more");
    }

    /// Once it is closed, all is saved.
    fn closes(&mut self, user: &User) {
        self.finish(user, user.clone().close());
        // A note may last for longer, by a clock that was set back since.
        let crooked = self.shared.lock().ledgers[user.id].crooked;
        if !self.is_broken() && !crooked && !user.session.is_saved() {
            self.shared.lock().broken(user.id, "F2", "closed, and not saved, though nothing fails");
        }
        let held = user.session.grant().and_then(|grant| numbers(&grant).1);
        let ready = self.shared.lock().ledgers[user.id].storing == 0;
        if ready {
            let saved = user.session.is_saved();
            self.shared.lock().is_held(user.id, held, saved, true);
        }
    }
}
