//! The parent of the holders: starts them, kills them, and listens to what they tell.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

use crate::holder::Step;
use crate::server::{Seen, Server};
use crate::{Arguments, Result, Rotation, accounts, picture, server};

/// How long the run may take beyond what its expiries need.
const GRACE: Duration = Duration::from_secs(60);

/// How long holders have to end by themselves.
const END: Duration = Duration::from_secs(15);

/// A process that holds the grant, or held it.
pub(crate) struct Holder {
    pub(crate) id: u64,
    /// Its place among those that run at the same time.
    pub(crate) place: usize,
    pub(crate) started: Duration,
    pub(crate) ended: Option<Duration>,
    pub(crate) killed: Option<Duration>,
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) failures: Vec<String>,
    /// What callers were told who are to log in.
    pub(crate) logged_out: Vec<String>,
    /// Of which login its grant is, counted from zero.
    pub(crate) login: u64,
    pub(crate) asked: u64,
    pub(crate) checked: u64,
    child: Child,
}

/// What was told by the holder with this number in the list.
enum Told {
    Line(usize, String),
    End(usize),
}

pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let store = match &arguments.store {
        Some(store) => store.clone(),
        None => format!("file:{}", folder.path().join("grant.json").display()),
    };
    let arguments = Arguments { store: Some(store), ..arguments.clone() };
    let server = server::start(&arguments).await?;
    log_in(&arguments, &server).await?;
    let seen = Arc::clone(&server.seen);
    let fleet = Fleet::new(arguments.clone(), server, Handle::current());
    let holders = tokio::task::spawn_blocking(move || fleet.run()).await??;
    let account = accounts::settle(&arguments, &seen, &holders);
    println!("{}", accounts::table(&account, &holders));
    let picture = picture::draw(&arguments, &seen, &holders, &account)?;
    println!("picture: {}", picture.display());
    println!("{}", account.to_json(&arguments));
    Ok(account.is_good(&arguments))
}

/// Puts the grant of a login into the store.
async fn log_in(arguments: &Arguments, server: &Server) -> Result<()> {
    let never = |_| Err(perennial::refresh::RefreshError::unavailable("never asked"));
    let builder = perennial::session::Session::builder_blocking(never);
    let store = arguments.store.as_deref().expect("it was set");
    let session = crate::store::open(builder, store, |_| {}).await?.build()?;
    Ok(session.install(server.log_in().await?).await?)
}

struct Fleet {
    arguments: Arguments,
    server: Server,
    seen: Arc<Seen>,
    runtime: Handle,
    holders: Vec<Holder>,
    /// How often somebody has logged in since.
    logins: u64,
    /// Whether a holder was killed in a refresh, and none has stored a grant since.
    is_open: bool,
    sender: Sender<Told>,
    told: Receiver<Told>,
}

impl Fleet {
    fn new(arguments: Arguments, server: Server, runtime: Handle) -> Self {
        let (sender, told) = mpsc::channel();
        let seen = Arc::clone(&server.seen);
        let (holders, logins, is_open) = (Vec::new(), 0, false);
        Self { arguments, server, seen, runtime, holders, logins, is_open, sender, told }
    }

    fn run(mut self) -> Result<Vec<Holder>> {
        self.start_all()?;
        let expiries = self.arguments.expiries as u64;
        let needed = self.arguments.ttl * u32::try_from(expiries)?;
        let every = self.arguments.kill_every;
        let (mut next_kill, mut kills) = (self.seen.now() + every, 0_u32);
        let mut handled = 0;
        let mut aimed: Option<(usize, Duration)> = None;
        while self.seen.rotations.load(Ordering::SeqCst) < expiries
            && self.seen.now() < 4 * needed + GRACE
        {
            let revoked = self.seen.families_revoked.load(Ordering::SeqCst);
            if revoked > handled {
                if self.arguments.rotation == Rotation::Idempotent {
                    break;
                }
                self.log_in_again()?;
                (handled, aimed, next_kill) = (revoked, None, self.seen.now() + every);
            }
            let noted = self.listen(Duration::from_millis(2));
            let now = self.seen.now();
            if every.is_zero() || now < next_kill {
                continue;
            }
            // Every second kill hits a holder whose request is out, at a moment that differs each time.
            // But not one that repeats what another was killed in: its server answers only for a while.
            let victim = if kills % 2 == 0 || self.is_open {
                Some(fastrand::usize(..self.arguments.processes as usize))
                    .and_then(|it| self.at(it))
            } else if let Some((index, at)) = aimed {
                (now >= at).then_some(index)
            } else {
                let longest = self.arguments.latency.as_secs_f64() * 1.1;
                let delay = Duration::from_secs_f64(fastrand::f64() * longest);
                aimed = noted.map(|index| (index, now + delay));
                None
            };
            if let Some(victim) = victim {
                self.kill(victim)?;
                (aimed, kills, next_kill) = (None, kills + 1, (next_kill + every).max(now));
            }
        }
        self.end()?;
        Ok(self.holders)
    }

    /// Returns the holder that has this place now.
    fn at(&self, place: usize) -> Option<usize> {
        self.holders.iter().rposition(|it| it.place == place && it.ended.is_none())
    }

    fn start_all(&mut self) -> Result<()> {
        (0..self.arguments.processes as usize).try_for_each(|place| self.start(place))
    }

    /// Ends all holders, as the grant is lost, and starts others on that of another login.
    fn log_in_again(&mut self) -> Result<()> {
        self.end()?;
        self.runtime.block_on(log_in(&self.arguments, &self.server))?;
        (self.is_open, self.logins) = (false, self.logins + 1);
        self.start_all()
    }

    fn start(&mut self, place: usize) -> Result<()> {
        let arguments = &self.arguments;
        let mut command = Command::new(std::env::current_exe()?);
        let rotation = match arguments.rotation {
            Rotation::Strict => "strict",
            Rotation::Idempotent => "idempotent",
        };
        command.args(["--holder-of", &self.server.url, "--rotation", rotation]);
        // Not as an argument, which others on the machine can read: it may hold a password.
        command.env("FLEET_STORE", arguments.store.as_deref().expect("it was set"));
        command.args(["--callers", &arguments.callers.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().expect("it is piped");
        let (number, sender) = (self.holders.len(), self.sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                let _ = sender.send(Told::Line(number, line));
            }
            let _ = sender.send(Told::End(number));
        });
        self.holders.push(Holder {
            id: child.id().into(),
            place,
            started: self.seen.now(),
            ended: None,
            killed: None,
            steps: Vec::new(),
            failures: Vec::new(),
            logged_out: Vec::new(),
            login: self.logins,
            asked: 0,
            checked: 0,
            child,
        });
        Ok(())
    }

    /// Kills a holder, and starts another in its place.
    fn kill(&mut self, index: usize) -> Result<()> {
        let holder = &mut self.holders[index];
        if holder.ended.is_some() {
            return Ok(());
        }
        holder.child.kill()?;
        holder.child.wait()?;
        let last = holder.steps.last().map(|(_, step)| *step);
        self.is_open |= matches!(last, Some(Step::Acquired | Step::Noted));
        holder.killed = Some(self.seen.now());
        holder.ended = holder.killed;
        let place = holder.place;
        self.start(place)
    }

    /// Takes in what holders tell within `limit`. Returns one that is about to send a request.
    fn listen(&mut self, limit: Duration) -> Option<usize> {
        let mut noted = None;
        let mut told = self.told.recv_timeout(limit).ok();
        while let Some(what) = told {
            if let Some(index) = self.take(what) {
                noted = Some(index);
            }
            told = self.told.try_recv().ok();
        }
        noted
    }

    fn take(&mut self, told: Told) -> Option<usize> {
        let now = self.seen.now();
        let (index, line) = match told {
            Told::Line(index, line) => (index, line),
            Told::End(index) => {
                let holder = &mut self.holders[index];
                if holder.ended.is_none() {
                    holder.failures.push("it has ended by itself".to_owned());
                    holder.ended = Some(now);
                }
                return None;
            }
        };
        let holder = &mut self.holders[index];
        // A line that a kill has cut short says nothing.
        let line: Value = serde_json::from_str(&line).ok()?;
        if let Some(asked) = line["asked"].as_u64() {
            (holder.asked, holder.checked) = (asked, line["checked"].as_u64().unwrap_or_default());
        }
        if let Some(failure) = line["failed"].as_str() {
            if holder.failures.iter().all(|earlier| earlier != failure) {
                eprintln!("process {} at {:.2} s: {failure}", holder.id, now.as_secs_f64());
            }
            holder.failures.push(failure.to_owned());
        }
        if let Some(text) = line["logged_out"].as_str() {
            holder.logged_out.push(text.to_owned());
        }
        let step = line["step"].as_str().and_then(Step::of)?;
        holder.steps.push((now, step));
        self.is_open &= step != Step::Stored;
        (step == Step::Noted && holder.killed.is_none()).then_some(index)
    }

    /// Lets all holders end by themselves.
    fn end(&mut self) -> Result<()> {
        let now = self.seen.now();
        let running: Vec<_> =
            (0..self.holders.len()).filter(|it| self.holders[*it].ended.is_none()).collect();
        for index in &running {
            drop(self.holders[*index].child.stdin.take());
            self.holders[*index].ended = Some(now);
        }
        while self.seen.now() < now + END {
            self.listen(Duration::from_millis(10));
            let mut ended = 0;
            for index in &running {
                ended += usize::from(self.holders[*index].child.try_wait()?.is_some());
            }
            if ended == running.len() {
                break;
            }
        }
        for index in running {
            let holder = &mut self.holders[index];
            match holder.child.try_wait()? {
                Some(status) if status.success() => {}
                Some(status) => holder.failures.push(status.to_string()),
                None => {
                    holder.child.kill()?;
                    holder.child.wait()?;
                    holder.failures.push("it did not end".to_owned());
                }
            }
        }
        // What the pipes still hold.
        while self.listen(Duration::from_millis(100)).is_some() {}
        Ok(())
    }
}
