//! The account of the example `token_server`: a login, silent refreshes by a cookie, a logout everywhere; and what
//! pages of other origins can do with that cookie.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::browser::Browser;
use crate::program::Program;

/// How long something may take to be shown.
const LIMIT: Duration = Duration::from_mins(1);

const PASSWORD: &str = "correct-horse";

/// The server, whose access tokens live for two seconds.
async fn server(more: &[&str]) -> Program {
    let users = ["--user", "alice:correct-horse", "--user", "bob:battery-staple"];
    let server = ["--listen", "127.0.0.1:0", "--access-ttl", "2s", "--quiet"];
    Program::run("token_server", &[&server[..], &users, more].concat()).await
}

/// What the page shows.
struct Account<'a>(&'a Browser);

impl<'a> Account<'a> {
    async fn open(browser: &'a Browser, url: &str) -> Self {
        browser.goto(&format!("{url}/account")).await;
        let account = Self(browser);
        account
            .until("the login is shown", "return !document.getElementById('login').hidden")
            .await;
        account
    }

    async fn log_in(&self, name: &str, password: &str) {
        self.0.fill("name", name).await;
        self.0.fill("password", password).await;
        self.0.click("log-in").await;
    }

    /// Looks at the page until the script returns true.
    async fn until(&self, what: &str, script: &str) {
        let end = Instant::now() + LIMIT;
        while self.0.execute(script).await != Value::Bool(true) {
            assert!(
                Instant::now() < end,
                "not within {LIMIT:?}: {what}; {}",
                self.0.source().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_message(&self, message: &str) {
        let script =
            format!("return document.getElementById('message').textContent === '{message}'");
        self.until(message, &script).await;
    }

    async fn until_devices(&self, count: usize) {
        let script = format!(
            "return !document.getElementById('account').hidden
               && document.querySelectorAll('#devices tr').length === {count}"
        );
        self.until(&format!("there are {count} devices"), &script).await;
    }

    async fn until_refreshed(&self, times: u64) {
        let end = Instant::now() + LIMIT;
        while self.number("refreshes").await < times {
            assert!(Instant::now() < end, "not within {LIMIT:?}: {times} refreshes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn text(&self, id: &str) -> String {
        let script = format!("return document.getElementById('{id}').textContent");
        self.0.execute(&script).await.as_str().expect("a text").to_owned()
    }

    async fn number(&self, id: &str) -> u64 {
        self.text(id).await.parse().expect("a number")
    }

    /// Keeps a picture, where `PICTURES` says so: the beginning of its path.
    async fn picture(&self, name: &str) {
        let Ok(prefix) = std::env::var("PICTURES") else { return };
        let picture = self.0.screenshot().await;
        std::fs::write(format!("{prefix}{name}.png"), picture).expect("it can be written");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_right_one_begins_a_session_whose_token_no_script_sees()
{
    let Some(browser) = Browser::start().await else { return };
    let server = server(&[]).await;
    let page = Account::open(&browser, &server.url).await;
    for (name, password) in [("alice", "battery-staple"), ("mallory", PASSWORD)] {
        page.log_in(name, password).await;
        page.until_message("The name or the password is wrong.").await;
        assert_eq!(page.text("subject").await, "", "{name}");
    }
    page.picture("refused").await;
    page.log_in("alice", PASSWORD).await;
    page.until_devices(1).await;
    assert_eq!(page.text("subject").await, "alice");
    page.picture("account").await;
    let seen =
        browser.execute("return document.cookie + JSON.stringify({ ...localStorage })").await;
    let seen = seen.as_str().expect("a text");
    assert!(!seen.contains("prt1_") && !seen.contains("pat1_"), "{seen}");
    assert_eq!(fetched(&browser, &server.url, "same-origin").await, "200 true");
}

#[tokio::test]
async fn after_too_many_wrong_passwords_the_page_says_when_to_try_again() {
    let Some(browser) = Browser::start().await else { return };
    let server = server(&[]).await;
    let page = Account::open(&browser, &server.url).await;
    for _ in 0..5 {
        page.log_in("alice", "battery-staple").await;
        page.until_message("The name or the password is wrong.").await;
        browser.execute("document.getElementById('message').textContent = ''").await;
    }
    page.log_in("alice", PASSWORD).await;
    let told = "return document.getElementById('message').textContent
        .startsWith('Too many wrong passwords. Try again in ')";
    page.until("the page says when", told).await;
    page.picture("limited").await;
    page.log_in("bob", "battery-staple").await;
    page.until_devices(1).await;
    assert_eq!(page.text("subject").await, "bob");
}

#[tokio::test]
async fn a_session_outlives_its_access_tokens_and_a_reload_until_it_is_logged_out() {
    let Some(browser) = Browser::start().await else { return };
    let server = server(&[]).await;
    let page = Account::open(&browser, &server.url).await;
    page.log_in("alice", PASSWORD).await;
    page.until_refreshed(3).await;
    assert_eq!(
        (page.text("subject").await, page.text("message").await),
        ("alice".into(), String::new())
    );
    page.picture("refreshed").await;
    browser.reload().await;
    page.until_devices(1).await;
    assert_eq!(page.text("subject").await, "alice");
    browser.click("log-out").await;
    page.until_message("You are logged out.").await;
    browser.reload().await;
    page.until("the login is shown", "return !document.getElementById('login').hidden").await;
}

#[tokio::test]
async fn a_logout_everywhere_ends_the_session_of_another_browser_and_of_no_other_user() {
    let Some(browser) = Browser::start().await else { return };
    let (other, bobs) = (Browser::start().await.expect("one started"), Browser::start().await);
    let bobs = bobs.expect("one started");
    let server = server(&[]).await;
    let page = Account::open(&browser, &server.url).await;
    let elsewhere = Account::open(&other, &server.url).await;
    let bob = Account::open(&bobs, &server.url).await;
    bob.log_in("bob", "battery-staple").await;
    bob.until_devices(1).await;
    page.log_in("alice", PASSWORD).await;
    page.until_devices(1).await;
    elsewhere.log_in("alice", PASSWORD).await;
    elsewhere.until_devices(2).await;
    page.until_devices(2).await;
    page.picture("devices").await;

    // One device alone.
    let script = "const rows = [...document.querySelectorAll('#devices tr')];
        rows.find((row) => !row.textContent.includes('this browser')).querySelector('button').click()";
    browser.execute(script).await;
    elsewhere.until_message("Your session has ended. Log in again.").await;
    elsewhere.picture("ended").await;
    page.until_devices(1).await;

    elsewhere.log_in("alice", PASSWORD).await;
    page.until_devices(2).await;
    browser.click("log-out-everywhere").await;
    page.until_message("You are logged out.").await;
    elsewhere.until_message("Your session has ended. Log in again.").await;
    bob.until_devices(1).await;
    let refreshed = bob.number("refreshes").await;
    bob.until_refreshed(refreshed + 1).await;
}

/// A page at another port, which is another origin of the same site: its requests carry the cookie.
async fn other_origin() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    (listener, url)
}

fn serve_empty_pages(listener: TcpListener) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 8192]).await;
                let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\
                            Connection: close\r\n\r\n<!doctype html>";
                let _ = stream.write_all(page.as_bytes()).await;
            });
        }
    });
}

/// Returns what a page gets for a refresh: the status and whether there is an access token, or that it may not read it.
async fn fetched(browser: &Browser, server: &str, credentials: &str) -> String {
    let script = format!(
        "return fetch('{server}/session/refresh', {{ method: 'POST', credentials: '{credentials}' }}).then(
           async (it) => `${{it.status}} ${{'access_token' in await it.json()}}`, () => 'not readable')"
    );
    browser.execute(&script).await.as_str().expect("a text").to_owned()
}

// Case X49. Under strict rotation one refresh whose response is not read costs the session.
#[tokio::test]
async fn a_page_of_another_origin_rotates_nothing_although_its_requests_carry_the_cookie() {
    let Some(browser) = Browser::start().await else { return };
    let server = server(&["--rotation", "strict"]).await;
    let (listener, other) = other_origin().await;
    serve_empty_pages(listener);
    let page = Account::open(&browser, &server.url).await;
    page.log_in("alice", PASSWORD).await;
    page.until_devices(1).await;

    browser.goto(&other).await;
    assert_eq!(fetched(&browser, &server.url, "include").await, "not readable");
    // A form needs no permission of CORS.
    for path in ["/session/refresh", "/session/logout", "/session/login"] {
        browser.goto(&other).await;
        let form = format!(
            "const form = document.createElement('form');
             Object.assign(form, {{ method: 'POST', action: '{}{path}' }});
             for (const [name, value] of [['name', 'bob'], ['password', 'battery-staple']]) {{
               form.append(Object.assign(document.createElement('input'), {{ name, value }}));
             }}
             document.documentElement.append(form);
             form.submit()",
            server.url
        );
        browser.execute(&form).await;
        let shown = "return location.pathname.startsWith('/session/')
            && document.body.textContent.includes('requests from this origin are not allowed')";
        page.until(path, shown).await;
        // Where the cookie is sent, a script sees another one, and not this.
        let script = "document.cookie = 'seen=1; path=/session'; return document.cookie";
        assert_eq!(browser.execute(script).await, "seen=1", "{path}");
    }
    browser.goto(&format!("{}/account", server.url)).await;
    page.until_devices(1).await;
    assert_eq!(page.text("subject").await, "alice");
    page.until_refreshed(2).await;
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_refreshes_with_the_cookie_and_reads_errors() {
    let Some(browser) = Browser::start().await else { return };
    let (listener, other) = other_origin().await;
    serve_empty_pages(listener);
    let server = server(&["--allow-origin", &other]).await;
    let page = Account::open(&browser, &server.url).await;
    page.log_in("alice", PASSWORD).await;
    page.until_devices(1).await;
    browser.goto(&other).await;
    assert_eq!(fetched(&browser, &server.url, "include").await, "200 true");
    assert_eq!(fetched(&browser, &server.url, "omit").await, "400 false");
}
