//! A PostgreSQL server of a test's own.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use perennial::adapters::postgres::{PostgresConnection, PostgresStore};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::server_support::{Process, eventually, free_port, skipped};

/// A server in a temporary folder, on a port of its own.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// The user and the group that it runs as: it refuses to run as root.
    user: Option<(u32, u32)>,
    port: u16,
    process: Option<Process>,
}

impl Server {
    /// Starts a server with the tables; `None`, said aloud, where there is none to start.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("postgres is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let user = user();
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).expect("root may give it away");
        }
        let mut server = Self { folder, programs, user, port: free_port(), process: None };
        server.fill();
        server.restart().await;
        server.connection().migrate().await.expect("the tables are created");
        Some(server)
    }

    /// Fills the data folder: with a copy of what `initdb` has made before, for that takes seconds.
    fn fill(&self) {
        static MADE: Mutex<()> = Mutex::new(());
        let version = self.programs.components().rev().nth(1).expect("it has a folder");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres").join(version);
        let one_at_a_time = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_dir() {
            drop(one_at_a_time);
            return copy(&kept, &self.data());
        }
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data()).args(["-U", "postgres", "-E", "UTF8", "--auth=trust"]);
        let made = initdb.args(["--no-sync", "--no-instructions"]).stdout(Stdio::null()).status();
        assert!(made.expect("initdb runs").success(), "initdb fails");
        fs::create_dir_all(kept.parent().expect("it has one")).expect("it is cargo's folder");
        let unfinished = kept.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        copy(&self.data(), &unfinished);
        fs::rename(unfinished, kept).expect("nobody else makes it");
    }

    /// A folder that is gone with the server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of the programs that come with the server, run as the server is.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it with what it has kept.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-c", "shared_buffers=8MB", "-c", "fsync=off"]);
        self.process = Some(Process::start(&mut command));
        let config = self.config();
        eventually("the server listens", async || config.connect(NoTls).await.ok().map(drop)).await;
    }

    /// Shuts it down as an administrator does, who cuts all connections.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let id = process.id().to_string();
            let _ = Command::new("kill").args(["-INT", &id]).status();
            process.wait();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn config(&self) -> Config {
        config(self.port)
    }

    /// Connections as another process has them.
    pub(crate) fn connection(&self) -> PostgresConnection {
        connection(self.port)
    }

    /// A store as another process has it.
    pub(crate) fn store(&self, key: &str) -> PostgresStore {
        PostgresStore::new(&self.connection(), key)
    }

    /// Does what no store does.
    pub(crate) async fn sql(&self, script: &str) {
        self.client().await.batch_execute(script).await.expect("the server does it");
    }

    /// The text in the first column of the only row.
    pub(crate) async fn text(&self, query: &str) -> Option<String> {
        self.client().await.query_one(query, &[]).await.expect("there is one row").get(0)
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = self.config().connect(NoTls).await.expect("it listens");
        tokio::spawn(connection);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config(port: u16) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname("postgres");
    config
}

/// Connections to the server on this port.
pub(crate) fn connection(port: u16) -> PostgresConnection {
    let connection = PostgresConnection::open(config(port), NoTls).expect("this is a runtime");
    connection.timeout(Duration::from_secs(1)).max_connections(4)
}

/// Connections to a port where nobody listens.
pub(crate) fn unreachable() -> PostgresConnection {
    let mut config = Config::new();
    config.host("127.0.0.1").port(free_port()).user("nobody").password("p1ant3d");
    let connection = PostgresConnection::open(config, NoTls).expect("this is a runtime");
    connection.timeout(Duration::from_millis(500))
}

/// Copies a folder, with owners and permissions.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success(), "cp fails");
}

/// The folder of the newest version that is installed, as Debian lays them out.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("postgres").is_file()).max()
}

/// The package's own user and group, for root.
fn user() -> Option<(u32, u32)> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    let is_root = number(&["-u"]) == Some(0);
    is_root.then(|| Some((number(&["-u", "postgres"])?, number(&["-g", "postgres"])?))).flatten()
}
