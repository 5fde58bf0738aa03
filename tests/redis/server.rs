//! A Redis server of a test's own.

use std::process::Command;
use std::time::Duration;

use perennial::adapters::redis::{RedisConnection, RedisStore};
use redis::Client;
use tempfile::TempDir;

use crate::server_support::{Process, eventually, free_port, skipped};

/// A server in a temporary folder, on a port of its own, which keeps what was answered.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    process: Option<Process>,
    is_cluster: bool,
}

impl Server {
    /// Starts a server; `None`, said aloud, where there is none to start.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_as(false).await
    }

    /// Starts the only node of a cluster, which holds each script to the keys of one slot.
    pub(crate) async fn start_cluster() -> Option<Self> {
        let server = Self::start_as(true).await?;
        server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
        eventually("the cluster is well", async || {
            let redis::Value::BulkString(info) = server.command(&["CLUSTER", "INFO"]).await else {
                panic!("a text")
            };
            String::from_utf8_lossy(&info).contains("cluster_state:ok").then_some(())
        })
        .await;
        Some(server)
    }

    async fn start_as(is_cluster: bool) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            skipped("redis-server is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let mut server = Self { folder, port: free_port(), process: None, is_cluster };
        server.restart().await;
        Some(server)
    }

    /// Starts it with what it has kept.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--dir").arg(self.folder.path());
        if self.is_cluster {
            let bus = free_port().to_string();
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus]);
        }
        self.process = Some(Process::start(&mut command));
        let client = self.client();
        eventually("the server listens", async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.ok()
        })
        .await;
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn client(&self) -> Client {
        client(self.port)
    }

    /// A connection as another process has it.
    pub(crate) fn connection(&self) -> RedisConnection {
        connection(self.port)
    }

    /// A store as another process has it.
    pub(crate) fn store(&self, key: &str) -> RedisStore {
        RedisStore::new(&self.connection(), key)
    }

    /// Does what no store does.
    pub(crate) async fn command(&self, words: &[&str]) -> redis::Value {
        let mut connection =
            self.client().get_multiplexed_async_connection().await.expect("it listens");
        let (name, arguments) = words.split_first().expect("a command has a name");
        let mut command = redis::cmd(name);
        for argument in arguments {
            command.arg(argument);
        }
        command.query_async(&mut connection).await.expect("the server does it")
    }
}

impl Drop for Server {
    /// Before its folder is removed.
    fn drop(&mut self) {
        self.stop();
    }
}

fn client(port: u16) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/")).expect("the address is well-formed")
}

/// A connection to the server on this port.
pub(crate) fn connection(port: u16) -> RedisConnection {
    let connection = RedisConnection::open(client(port)).expect("this is a runtime");
    connection.timeout(Duration::from_millis(500))
}

/// A connection to a port where nobody listens.
pub(crate) fn unreachable() -> RedisConnection {
    let client = Client::open(format!("redis://:p1ant3d@127.0.0.1:{}/", free_port()));
    let connection = RedisConnection::open(client.expect("the address is well-formed"));
    connection.expect("this is a runtime").timeout(Duration::from_millis(500))
}
