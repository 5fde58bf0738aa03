//! The examples `live_page` and `token_server`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::http;

/// The secret of the client `billing`.
pub(crate) const SECRET: &str = "planted-client-secret";

/// An example, running. It ends with this value.
pub(crate) struct Program {
    pub(crate) url: String,
    said: String,
    _child: Child,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is there")
}

impl Program {
    /// Starts it with access tokens that live this long.
    pub(crate) async fn start(lifetime: &str) -> Self {
        Self::run("live_page", &["--port", "0", "--lifetime", lifetime]).await
    }

    /// Starts an example; the variable of its name names another program.
    pub(crate) async fn run(example: &str, arguments: &[&str]) -> Self {
        let program = std::env::var_os(example.to_uppercase()).map(PathBuf::from);
        let folder = || root().join("target/debug/examples");
        let program = program.unwrap_or_else(|| folder().join(example));
        let mut command = Command::new(&program);
        command.args(arguments).env("LIVE_PAGE_CLIENT_SECRET", SECRET);
        let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build --example {example}` first", program.display())
        });
        let output = child.stdout.take().expect("it is piped");
        let said = BufReader::new(output).lines().next_line().await.expect("it can be read");
        let said = said.expect("it says its address");
        let url = said.split_whitespace().next().expect("it says its address").to_owned();
        Self { url, said, _child: child }
    }

    pub(crate) fn said(&self) -> String {
        self.said.clone()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        http::request(&self.url, "GET", path, usize::MAX).await
    }

    pub(crate) async fn post(&self, path: &str) {
        let response = http::request(&self.url, "POST", path, usize::MAX).await;
        assert!(response.starts_with("HTTP/1.1 204"), "{path}: {response}");
    }

    /// The beginning of `/events`, so many bytes at most.
    pub(crate) async fn events(&self, most: usize) -> String {
        http::request(&self.url, "GET", "/events", most).await
    }

    /// How many sessions of this name are failing, by `/metrics`; 0 where there is no such line yet.
    pub(crate) async fn failing(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
        let line = format!("perennial_session_failing{{perennial_session_name=\"{name}\"}} ");
        metrics
            .lines()
            .find_map(|it| it.strip_prefix(&line))
            .map_or(0.0, |it| it.parse().expect("a number"))
    }

    /// Waits until each session of this name has refreshed again.
    pub(crate) async fn until_refreshed(&self, name: &str, limit: Duration) {
        let refreshes = || async {
            let metrics = self.get("/metrics").await;
            let of = format!("perennial_session_name=\"{name}\"");
            let lines =
                metrics.lines().filter(|it| it.starts_with("perennial_refresh_duration_count"));
            let counts = lines.filter(|it| it.contains(&of)).filter_map(|it| it.rsplit(' ').next());
            counts.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>()
        };
        let (before, end) = (refreshes().await, Instant::now() + limit);
        while refreshes().await < before + 6 {
            assert!(Instant::now() < end, "not within {limit:?}: {name} refreshes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
