//! The table and the line of JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::record::{Answer, Record};
use crate::server::Counters;
use crate::world::{Member, World};

/// What the keys of the line of JSON mean.
pub(crate) const KEYS: &str = "\
The last line of the output is an object of JSON:
  requests                      requests that callers made to the API
  answered                      those answered with 200
  failed                        those answered otherwise, or not at all
  unauthorized_absorbed         401s of the API that no caller saw: the token was replaced, the request sent again
  refreshes                     refreshes that brought a session a new token
  server_refreshes              requests to the token endpoint, also those that failed
  expiries                      tokens that were replaced because their time had come, of all sessions
  fewest_expiries_of_a_session  the same of the session with the fewest
  revocations                   access tokens that the server revoked before their time
  injected_faults               token requests answered with 503, or whose response was lost
  refreshes_per_cause           server_refreshes / (expiries + revocations + injected_faults)
  added_p50_us                  median of what the session adds to a request, waits included, in microseconds
  added_p99_us                  its 99th percentile";

/// The whole run in numbers.
pub(crate) struct Summary {
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) unauthorized_absorbed: u64,
    pub(crate) refreshes: u64,
    pub(crate) server_refreshes: u64,
    pub(crate) expiries: u64,
    pub(crate) revocations: u64,
    pub(crate) faults: u64,
    pub(crate) added_p50_us: u128,
    pub(crate) added_p99_us: u128,
    fewest_expiries: u64,
}

impl Summary {
    /// Server refreshes over everything that calls for one.
    pub(crate) fn refreshes_per_cause(&self) -> f64 {
        let causes = self.expiries + self.revocations + self.faults;
        self.server_refreshes as f64 / causes.max(1) as f64
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "requests": self.requests,
            "answered": self.answered,
            "failed": self.failed,
            "unauthorized_absorbed": self.unauthorized_absorbed,
            "refreshes": self.refreshes,
            "server_refreshes": self.server_refreshes,
            "expiries": self.expiries,
            "fewest_expiries_of_a_session": self.fewest_expiries,
            "revocations": self.revocations,
            "injected_faults": self.faults,
            "refreshes_per_cause": (self.refreshes_per_cause() * 1000.0).round() / 1000.0,
            "added_p50_us": self.added_p50_us,
            "added_p99_us": self.added_p99_us,
        })
    }
}

fn counters(world: &World, member: &Member) -> Counters {
    world.server.stats_of(member.family).unwrap_or_default()
}

fn faults(counters: &Counters) -> u64 {
    counters.unavailable + counters.answers_lost
}

pub(crate) fn summarise(world: &World, record: &Record) -> Summary {
    let (answered, failed) = record.answered_and_failed();
    let mut added: Vec<_> = record.answers().iter().map(|answer: &Answer| answer.added).collect();
    added.sort_unstable();
    let percentile = |percent: usize| {
        let last = added.len().saturating_sub(1);
        added.get(last * percent / 100).map_or(0, std::time::Duration::as_micros)
    };
    let each = |count: fn(&Member) -> u64| world.members.iter().map(count);
    let server = |count: fn(&Counters) -> u64| -> u64 {
        world.members.iter().map(|member| count(&counters(world, member))).sum()
    };
    Summary {
        requests: answered + failed,
        answered,
        failed,
        unauthorized_absorbed: server(|counters| counters.api_unauthorized)
            .saturating_sub(record.unauthorized()),
        refreshes: each(|member| member.story.granted()).sum(),
        server_refreshes: server(|counters| counters.token_requests),
        expiries: each(|member| member.story.expiries()).sum(),
        revocations: server(|counters| counters.access_revocations),
        faults: server(faults),
        added_p50_us: percentile(50),
        added_p99_us: percentile(99),
        fewest_expiries: each(|member| member.story.expiries()).min().unwrap_or(0),
    }
}

/// One row a session. It fits into 80 columns.
pub(crate) fn table(world: &World) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header([
        "session",
        "API\n200",
        "401,\nreplayed",
        "expiries",
        "revo-\ncations",
        "503",
        "no re-\nsponse",
        "token\nrequests",
        "per\ncause",
    ]);
    for member in &world.members {
        let counters = counters(world, member);
        let expiries = member.story.expiries();
        let causes = expiries + counters.access_revocations + faults(&counters);
        let ratio = counters.token_requests as f64 / causes.max(1) as f64;
        table.add_row([
            member.name.clone(),
            counters.api_ok.to_string(),
            counters.api_unauthorized.to_string(),
            expiries.to_string(),
            counters.access_revocations.to_string(),
            counters.unavailable.to_string(),
            counters.answers_lost.to_string(),
            counters.token_requests.to_string(),
            format!("{ratio:.2}"),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
