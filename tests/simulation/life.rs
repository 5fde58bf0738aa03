//! Processes and their tasks: how they start, are polled, crash and start again. One thread; which
//! task runs next is a choice.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use perennial::refresh::{BoxFuture, ClientBackoff};
use perennial::session::{Builder, Reader, Session};
use perennial::token::Grant;

use super::callers::User;
use super::clock::{Bells, Hands, Watch};
use super::ledger::Ledger;
use super::log::Corner;
use super::network::Network;
use super::plan::{Plan, Stores};
use super::server::{Answer, Reuse, renewal_text};
use super::store::{Keep, Shelf, numbers};
use super::world::{Machine, START, Shared, World};

/// What a task is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    Caller,
    /// Spawned by the session itself.
    Driver,
    /// `keep_fresh`.
    Keeper,
    /// `changed`.
    Watcher,
    /// A login, a logout or a close.
    Program,
}

pub(crate) struct Task {
    pub(crate) session: usize,
    pub(crate) errand: Errand,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Arc<Flag>,
}

impl Task {
    pub(crate) fn is_woken(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where a process has one session.
pub(crate) struct Seat {
    pub(crate) user: Option<User>,
    pub(crate) reader: Option<Reader>,
    pub(crate) store: Option<usize>,
    pub(crate) timer: bool,
    /// Two bits: spawned, kept fresh.
    drivers: u32,
}

pub(crate) struct Process {
    pub(crate) machine: usize,
    watch: Watch,
    /// What its sessions share, which are one client's.
    client: ClientBackoff,
    pub(crate) seats: Vec<Seat>,
}

/// All that lives in a world.
pub(crate) struct Life {
    pub(crate) shared: Shared,
    pub(crate) plan: Plan,
    pub(crate) processes: Vec<Process>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) polls: u64,
    /// The grant that each store begins with.
    seeds: Vec<Answer>,
}

impl Life {
    pub(crate) fn new(world: World) -> Self {
        let plan = world.plan;
        let shared = Shared::new(world);
        let mut life = Self {
            shared,
            plan,
            processes: Vec::new(),
            tasks: Vec::new(),
            polls: 0,
            seeds: Vec::new(),
        };
        life.count_plan();
        let mut number = 0;
        for count in plan.processes.into_iter().filter(|count| *count > 0) {
            let hands = Hands::new(START);
            let process = life.processes.len();
            let watch = Watch::new(&hands, plan.raw_clock);
            let bells = std::collections::BTreeMap::new();
            life.shared.lock().machines.push(Machine { hands, bells });
            life.processes.push(Process {
                machine: process,
                watch,
                client: ClientBackoff::default(),
                seats: Vec::new(),
            });
            life.shared.lock().barred.push(i64::MIN);
            for index in 0..count {
                let store = match plan.stores {
                    Stores::None => None,
                    Stores::Own => Some(life.store()),
                    Stores::Process if index == 0 => Some(life.store()),
                    Stores::All if number == 0 => Some(life.store()),
                    Stores::Process | Stores::All => Some(life.seeds.len() - 1),
                };
                // Spread over the seats: with and without a timer, a spawner, a keeper. In a world
                // without faults there is always a spawner, so that a refresh takes no break.
                let drivers = (plan.drivers >> 1).wrapping_add(number) | u32::from(plan.calm);
                let timer = drivers & 4 == 0;
                let drivers = if timer { drivers & 3 } else { drivers & 1 };
                let seat = Seat { user: None, reader: None, store, timer, drivers };
                life.processes[process].seats.push(seat);
                life.open(process, index as usize);
                number += 1;
            }
        }
        life
    }

    fn count_plan(&mut self) {
        let plan = self.plan;
        let mut world = self.shared.lock();
        let reuse = match plan.reuse {
            Reuse::Strict => Corner::ReuseRefuse,
            Reuse::OverlapSuccessors(_) => Corner::ReuseOverlap,
            Reuse::Idempotent(_) => Corner::ReuseIdempotent,
            Reuse::Confirm => Corner::ReuseConfirm,
            Reuse::Unrotated => Corner::ReuseUnrotated,
        };
        let many = plan.processes[1] > 0 || plan.processes[2] > 0;
        let seen = [
            (true, reuse),
            (plan.calm, Corner::CalmWorld),
            (plan.raw_clock, Corner::RawClock),
            (plan.stores == Stores::None, Corner::StoreNone),
            (plan.stores == Stores::All && many, Corner::StoreShared),
            (
                plan.stores == Stores::Process && plan.processes.contains(&2),
                Corner::StoreOfOneProcess,
            ),
        ];
        for (_, corner) in seen.into_iter().filter(|(so, _)| *so) {
            world.saw(corner);
        }
    }

    /// A store, which is empty, and the grant that it will begin with.
    fn store(&mut self) -> usize {
        let mut world = self.shared.lock();
        let (terms, truth) = (world.terms(), world.truth);
        let seed = world.server.login(terms, truth);
        world.stores.push(Keep::new());
        self.seeds.push(seed);
        self.seeds.len() - 1
    }

    /// A program begins, or begins again, to use a session.
    pub(crate) fn open(&mut self, process: usize, seat: usize) {
        let Process { machine, watch, client, seats } = &self.processes[process];
        let Seat { store, timer, drivers, .. } = seats[seat];
        let (shared, watch, machine) = (self.shared.clone(), watch.clone(), *machine);
        let client = client.clone();
        let (id, given) = self.register(process, &watch, store);
        let network = Network {
            shared: shared.clone(),
            session: id,
            client: (drivers & 1 == 1).then(|| client.clone()),
        };
        let builder = Session::builder_with(network)
            .clock(watch)
            .client_backoff(client)
            .policy(self.plan.policy());
        let builder = self.furnish(builder, id, store, given);
        let builder =
            if timer { builder.timer(Bells { shared: shared.clone(), machine }) } else { builder };
        let spawning = shared.clone();
        shared.lock().ledgers[id].spawns = drivers & 1 == 1;
        let builder = if drivers & 1 == 1 {
            builder.spawner(move |task: BoxFuture<()>| {
                let mut world = spawning.lock();
                if world.ledgers[id].alive {
                    world.saw(Corner::Spawned);
                    world.spawned.push((id, task));
                }
            })
        } else {
            builder
        };
        let session = builder.build().expect("the grant can be sent");
        let keeper = (drivers & 2 == 2)
            .then(|| session.keep_fresh(Bells { shared: shared.clone(), machine }));
        let user = User { shared, session, id };
        let seat = &mut self.processes[process].seats[seat];
        seat.reader = Some(user.session.reader());
        seat.user = Some(user);
        if let Some(keeper) = keeper {
            self.shared.lock().saw(Corner::Kept);
            self.spawn(id, Errand::Keeper, keeper);
        }
    }

    /// A new session's ledger, and the grant that it is given.
    fn register(
        &mut self,
        process: usize,
        watch: &Watch,
        store: Option<usize>,
    ) -> (usize, Option<Answer>) {
        let mut world = self.shared.lock();
        let mut ledger = Ledger::new(process, watch.clone(), store, self.plan.deadline);
        let given = match store {
            None => {
                let (terms, truth) = (world.terms(), world.truth);
                Some(world.server.login(terms, truth))
            }
            // Given later, the first grant's access token would count from then: it is left out.
            Some(store) => {
                Some(self.seeds[store]).filter(|_| world.stores[store].is_untouched()).map(|seed| {
                    if world.truth == START { seed } else { Answer { lifetime: Some(0), ..seed } }
                })
            }
        };
        if let Some(given) = given {
            ledger.bare = false;
            ledger.families.push(world.server.family_of(given.renewal));
            let (now, lifetime, hint) = (ledger.now(), given.lifetime, given.hint);
            ledger.reckon(given.access, now, lifetime, hint);
        }
        // A clock that runs back may have done so before.
        ledger.crooked = watch.is_raw() && world.skewed;
        world.ledgers.push(ledger);
        let id = world.ledgers.len() - 1;
        world.note("opens", id, given.map_or(-1, |given| i64::from(given.renewal)));
        (id, given)
    }

    fn furnish(
        &self,
        builder: Builder,
        id: usize,
        store: Option<usize>,
        given: Option<Answer>,
    ) -> Builder {
        let (drawing, orphans, half) =
            (self.shared.clone(), self.shared.clone(), self.plan.half_draws);
        let builder =
            builder
                // Never nothing: who fails at once, for ever, would try at once, for ever.
                .random(move || {
                    if half { 1 << 31 } else { drawing.lock().choices.below(256) << 24 | 1 << 23 }
                });
        let builder = match store {
            Some(store) => builder.store(Shelf { shared: self.shared.clone(), session: id, store }),
            None => builder,
        };
        let builder = match given {
            // A lifetime of nothing begins with the refresh token alone.
            Some(given) if given.lifetime == Some(0) => {
                builder.grant(Grant::of_refresh_token(renewal_text(given.renewal)))
            }
            Some(given) => builder.grant(Answer { silent: false, ..given }.grant()),
            None => builder,
        };
        // Every other one, since a hook must change nothing.
        let builder = if id & 1 == 0 {
            let shared = self.shared.clone();
            builder.on_event(move |event| {
                let mut world = shared.lock();
                if let Some((rule, how)) = world.ledgers[id].reported.judge(event) {
                    world.broken(id, rule, &how);
                }
            })
        } else {
            builder
        };
        if !self.plan.hook {
            return builder;
        }
        builder.on_orphan(move |grant| {
            if let Some(renewal) = numbers(&grant).1 {
                orphans.lock().orphaned(id, renewal);
            }
        })
    }

    pub(crate) fn spawn(
        &mut self,
        session: usize,
        errand: Errand,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Task { session, errand, future: Box::pin(future), flag });
    }

    /// Polls one task, whether it is woken or not.
    pub(crate) fn poll(&mut self, index: usize) {
        self.polls += 1;
        let task = &mut self.tasks[index];
        task.flag.0.store(false, Ordering::Relaxed);
        self.shared.lock().in_program = task.errand == Errand::Program;
        let waker = Waker::from(Arc::clone(&task.flag));
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.shared.lock().in_program = false;
        if polled == Poll::Ready(()) {
            drop(self.tasks.remove(index));
        }
        self.adopt();
    }

    /// Takes in the tasks that sessions have spawned.
    pub(crate) fn adopt(&mut self) {
        let spawned = std::mem::take(&mut self.shared.lock().spawned);
        for (session, task) in spawned {
            self.spawn(session, Errand::Driver, task);
        }
    }

    /// All of a process is gone at once. What the destructors do is seen by nobody.
    pub(crate) fn crash(&mut self, process: usize) {
        {
            let mut world = self.shared.lock();
            let living = (0..world.ledgers.len()).filter(|index| {
                let ledger = &world.ledgers[*index];
                ledger.alive && ledger.process == process
            });
            let living: Vec<usize> = living.collect();
            for id in living {
                world.ledgers[id].alive = false;
                world.note("crashes", id, 0);
                let (out, writing) = (world.is_out(id), world.is_writing(id));
                world.saw(Corner::Crash);
                if out {
                    world.saw(Corner::CrashInFlight);
                }
                if writing {
                    world.saw(Corner::CrashWhileStoring);
                }
            }
        }
        let shared = self.shared.clone();
        let dead = |task: &Task| !shared.lock().ledgers[task.session].alive;
        let (gone, left): (Vec<Task>, Vec<Task>) =
            std::mem::take(&mut self.tasks).into_iter().partition(dead);
        self.tasks = left;
        drop(gone);
        for seat in &mut self.processes[process].seats {
            drop(seat.reader.take());
            drop(seat.user.take());
        }
        let raw = self.plan.raw_clock;
        let hands = self.shared.lock().machines[self.processes[process].machine].hands.clone();
        self.processes[process].watch = Watch::new(&hands, raw);
        self.processes[process].client = ClientBackoff::default();
        self.shared.lock().barred[process] = i64::MIN;
    }

    /// The program drops its last handle of a session, and goes on.
    pub(crate) fn let_go(&mut self, process: usize, seat: usize) {
        let seat = &mut self.processes[process].seats[seat];
        let Some(user) = seat.user.take() else { return };
        let (reader, id) = (seat.reader.take(), user.id);
        let (gone, left): (Vec<Task>, Vec<Task>) =
            std::mem::take(&mut self.tasks).into_iter().partition(|task| {
                let holds =
                    matches!(task.errand, Errand::Caller | Errand::Program | Errand::Watcher);
                task.session == id && holds
            });
        self.tasks = left;
        drop(gone);
        drop(reader);
        drop(user);
        let mut world = self.shared.lock();
        world.ledgers[id].let_go = true;
        world.saw(Corner::LetGo);
        world.note("is let go", id, 0);
    }
}
