//! Chromium, driven by `chromedriver`.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::view::{READ, View};

/// A browser of its own. It ends with this value, also where a test has failed.
pub(crate) struct Browser {
    client: Client,
    /// Where the driver listens, and the path of the browser's session there.
    address: String,
    session: String,
    _driver: Child,
}

impl Drop for Browser {
    /// The driver would leave the browser running when it is killed.
    fn drop(&mut self) {
        use std::io::{Read as _, Write as _};

        let Ok(mut driver) = std::net::TcpStream::connect(&self.address) else { return };
        let (address, session) = (&self.address, &self.session);
        let request =
            format!("DELETE {session} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let _ = driver.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = driver.write_all(request.as_bytes()).and_then(|()| driver.read(&mut [0]));
    }
}

impl Browser {
    /// Starts one; `None` where there is no `chromedriver`, which is said, and must not be where
    /// `REQUIRE_BROWSER` is set.
    pub(crate) async fn start() -> Option<Self> {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let Ok(mut driver) = driver.spawn() else {
            assert!(std::env::var_os("REQUIRE_BROWSER").is_none(), "there is no chromedriver");
            eprintln!("SKIPPED the page in a browser: there is no chromedriver");
            return None;
        };
        let output = driver.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let port = loop {
            let line = lines.next_line().await.expect("it can be read");
            let line = line.expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // It must not be blocked by a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--force-device-scale-factor=1", "--window-size=1280,800",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
        ] });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let address = format!("127.0.0.1:{port}");
        let mut client = ClientBuilder::new(HttpConnector::new());
        let client = client.capabilities(capabilities).connect(&format!("http://{address}")).await;
        let client = client.expect("Chromium starts");
        let id = client.session_id().await.expect("the driver answers").expect("it is connected");
        Some(Self { client, address, session: format!("/session/{id}"), _driver: driver })
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.expect("the page loads");
    }

    pub(crate) async fn view(&self) -> View {
        View::of(&self.execute(READ).await)
    }

    /// Looks at the page until it shows what is expected.
    ///
    /// # Panics
    /// If it does not within the limit.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut shows: impl FnMut(&View) -> bool,
    ) -> View {
        let end = Instant::now() + limit;
        loop {
            let view = self.view().await;
            if !view.sessions.is_empty() && shows(&view) {
                return view;
            }
            assert!(Instant::now() < end, "not within {limit:?}: {what}; the page shows {view:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn click(&self, id: &str) {
        let element = self.client.find(Locator::Id(id)).await.expect("the button is there");
        element.click().await.expect("it can be clicked");
    }

    /// Types a text into a field, in place of what is there.
    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let element = self.client.find(Locator::Id(id)).await.expect("the field is there");
        element.clear().await.expect("it can be cleared");
        element.send_keys(text).await.expect("it can be typed into");
    }

    pub(crate) async fn execute(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    pub(crate) async fn find_all(&self, locator: Locator<'_>) -> usize {
        self.client.find_all(locator).await.expect("the page is there").len()
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("it can be resized");
        // The height of what is around the page.
        let lost = "return window.outerHeight - window.innerHeight";
        let lost = self.execute(lost).await.as_u64().and_then(|it| u32::try_from(it).ok());
        let height = height + lost.unwrap_or(0);
        self.client.set_window_size(width, height).await.expect("it can be resized");
    }

    /// By how many pixels the page is wider than its window.
    pub(crate) async fn overflow(&self) -> i64 {
        let script =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.execute(script).await.as_i64().expect("a number")
    }

    /// The document as it is now.
    pub(crate) async fn source(&self) -> String {
        self.client.source().await.expect("the page is there")
    }

    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("the page can be seen")
    }
}
