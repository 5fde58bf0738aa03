//! Tables of cases that each adapter answers alike: every row runs on each, over real sockets, and the
//! table is printed. A row fails where two columns differ, or differ from what is expected.

use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock};

use comfy_table::Table;
use perennial::interceptor::{Interceptor, InterceptorBuilder};
use perennial::session::Session;

use crate::client::{Adapter, Call};
use crate::wire::{Received, Server, answer, soon};
use crate::world::{World, minting};

/// Whose servers a row has: two that the token is for, and one that it is not for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Home,
    Other,
    Foreign,
}

/// Where the servers are.
pub(crate) struct Urls {
    home: String,
    other: String,
    foreign: String,
}

impl Urls {
    pub(crate) fn of(&self, host: Host, path: &str) -> String {
        let host = match host {
            Host::Home => &self.home,
            Host::Other => &self.other,
            Host::Foreign => &self.foreign,
        };
        format!("{host}{path}")
    }

    pub(crate) fn home(&self, path: &str) -> String {
        self.of(Host::Home, path)
    }

    /// The same server by its name.
    pub(crate) fn named(&self, name: &str, path: &str) -> String {
        self.home(path).replace("127.0.0.1", name)
    }
}

pub(crate) type Rules = fn(Host, &Received, &Urls) -> String;

/// A case. What is seen of it is written `200 done: H/start+1 F/there-; 0 refreshes`: the answer, each
/// request at home (H), at the other declared origin (O) and at the foreign one (F), with the number of its
/// token or without any, and how often the authorization server was asked.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) call: fn(&Urls) -> Call,
    pub(crate) rules: Rules,
    pub(crate) origins: fn(InterceptorBuilder, &Urls) -> InterceptorBuilder,
    pub(crate) expected: &'static str,
}

/// Home and the other one.
pub(crate) fn declared(builder: InterceptorBuilder, urls: &Urls) -> InterceptorBuilder {
    builder.origin(urls.home("/")).origin(urls.of(Host::Other, "/"))
}

pub(crate) fn any(builder: InterceptorBuilder, _: &Urls) -> InterceptorBuilder {
    builder.any_origin()
}

pub(crate) fn get(urls: &Urls) -> Call {
    Call::get(urls.home("/start"))
}

/// An answer that leads on.
pub(crate) fn moved(status: &str, location: &str) -> String {
    answer(status, &[("location", location)], "moved")
}

pub(crate) fn found(location: &str) -> String {
    moved("302 Found", location)
}

/// What a request looked like: `H/start+1`, with its method where that is no GET.
fn told(host: Host, received: &Received) -> String {
    let letter = match host {
        Host::Home => 'H',
        Host::Other => 'O',
        Host::Foreign => 'F',
    };
    let line = received.line();
    let line = line.strip_prefix("GET ").map_or_else(|| format!(" {line}"), str::to_owned);
    let token = match received.bearer() {
        "no authorization" => "-".to_owned(),
        bearer => {
            bearer.strip_prefix("access-").map_or(format!("!{bearer}"), |it| format!("+{it}"))
        }
    };
    let mut text = format!("{letter}{line}{token}");
    if !received.headers("cookie").is_empty() {
        text.push_str(" with a cookie");
    }
    if !received.content().is_empty() {
        let _ = write!(text, " with {} bytes", received.content().len());
    }
    text
}

impl Row {
    /// What is seen of it.
    pub(crate) async fn seen(&self, on: Adapter) -> String {
        let urls = Arc::<OnceLock<Urls>>::default();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let rules = self.rules;
        let server = |host| {
            let (urls, log) = (Arc::clone(&urls), Arc::clone(&log));
            Server::answering(move |received| {
                log.lock().expect("a log").push(told(host, received));
                rules(host, received, urls.get().expect("the servers' addresses"))
            })
        };
        let (home, other) = (server(Host::Home).await, server(Host::Other).await);
        let foreign = server(Host::Foreign).await;
        let addresses = Urls { home: home.url(""), other: other.url(""), foreign: foreign.url("") };
        let urls = urls.get_or_init(|| addresses);
        let world = World::of(on, minting().await, home);
        let builder = |session: &Session| Interceptor::builder(session.clone());
        let interceptor = (self.origins)(builder(&world.session), urls);
        let world = world.intercepted_by(interceptor);
        let answered = match soon(world.send((self.call)(urls))).await.expect("a task") {
            Ok(answered) => {
                let status = answered.status;
                format!("{status} {}", soon(answered.text()).await.expect("a body"))
            }
            Err(failed) => match failed.refused() {
                Some(refused) => format!("error: {refused}"),
                None => format!("error: {:?}", failed.says()),
            },
        };
        let requests = log.lock().expect("a log").join(" ");
        format!("{answered}: {requests}; {} refreshes", world.auth.requests())
    }
}

/// Runs all rows on each adapter, prints the table, and gives what is wrong.
pub(crate) async fn run_all(title: &str, rows: &[Row]) -> Vec<String> {
    let mut table = Table::new();
    table.set_header(["case", "expected", "tower", "reqwest", "ureq"]);
    let mut wrong = Vec::new();
    for row in rows {
        let mut cells = vec![row.case.to_owned(), row.expected.to_owned()];
        for on in [Adapter::Tower, Adapter::Reqwest, Adapter::Ureq] {
            let seen = row.seen(on).await;
            if seen == row.expected {
                cells.push("as expected".into());
            } else {
                wrong.push(format!(
                    "{}\n  on {on:?}: {seen}\n  expected: {}",
                    row.case, row.expected
                ));
                cells.push(seen);
            }
        }
        table.add_row(cells);
    }
    println!("{title}\n{table}");
    wrong
}

/// The same, which must all be right.
pub(crate) async fn holds(title: &str, rows: &[Row]) {
    let wrong = run_all(title, rows).await;
    assert!(wrong.is_empty(), "{title}:\n{}", wrong.join("\n"));
}
