//! Ten thousand processes and a hundred million grants, in virtual time: how much they ask of the token
//! endpoint and of Redis, and what an outage of the endpoint leaves behind.
//!
//! A sample of the grants is simulated with the crate's own machines, and the counts are scaled up. Prints the
//! tables of `src/scale.md`, and draws its picture. With the default settings it compares both with
//! `src/scale_figures.md` and `src/scale.svg`, and exits with 1 where they differ; `UPDATE_EXPECT=1` rewrites
//! them.

#![allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

#[path = "../support/drawing.rs"]
mod drawing;
mod measure;
mod picture;
mod redis;
mod report;
mod simulation;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use perennial::lifecycle::Policy;

use self::measure::{Counts, Estimate, Figures};
use self::redis::Bytes;
use self::simulation::Simulation;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SECOND: Duration = Duration::from_secs(1);

/// Simulates a fleet of processes that keep very many grants fresh in one store.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(version)]
pub(crate) struct Fleet {
    /// How many grants the fleet has
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    grants: u64,
    /// How many of them are simulated
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// How many processes there are
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    processes: u64,
    /// How many processes keep each grant fresh
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    holders: u32,
    /// How long access tokens live
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    lifetime: Duration,
    /// The policy's refresh window
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    window: Duration,
    /// The longest backoff of the policy
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    backoff_cap: Duration,
    /// How long the token endpoint cannot be reached, two lifetimes after the start
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    outage: Duration,
    /// How many refreshes a limited token endpoint grants a second, in multiples of their mean
    #[arg(long, value_name = "TIMES", default_value_t = 4)]
    capacity: u32,
    /// How long the token endpoint takes to answer
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    server_latency: Duration,
    /// How long Redis takes to answer
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = humantime::parse_duration)]
    store_latency: Duration,
    /// The length of an access token
    #[arg(long, value_name = "BYTES", default_value_t = 1000)]
    access_token: usize,
    /// The length of a refresh token
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    refresh_token: usize,
    /// Over how long counts are averaged
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    bin: Duration,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 18)]
    seed: u64,
}

impl Fleet {
    fn policy(&self) -> Policy {
        let builder = Policy::builder().refresh_window(self.window);
        let builder = builder.backoff(SECOND.min(self.backoff_cap), self.backoff_cap);
        builder.build().expect("the settings were checked")
    }

    fn check(&self) -> Result<()> {
        if self.bin < SECOND || self.lifetime < 60 * SECOND || self.outage >= self.lifetime {
            return Err(
                "a bin is 1 s or more, a lifetime 60 s or more, and longer than the outage".into(),
            );
        }
        if self.backoff_cap.is_zero() || self.server_latency > 10 * SECOND {
            return Err("the backoff must not be zero, nor a latency over 10 s".into());
        }
        Ok(())
    }

    /// When the outage begins.
    fn outage_at(&self) -> Duration {
        2 * self.lifetime
    }

    fn length(&self) -> Duration {
        5 * self.lifetime
    }

    fn bins(&self) -> usize {
        let bins = self.length().as_millis().div_ceil(self.bin.as_millis());
        usize::try_from(bins).expect("the lengths were checked")
    }

    /// How many grants each simulated one stands for.
    fn scale(&self) -> f64 {
        self.grants as f64 / f64::from(self.sample)
    }
}

/// One run of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scenario {
    jitter: bool,
    /// How many refreshes a second are granted to the sample; the others are answered 503.
    capacity: Option<u64>,
}

/// A scenario, and what came of it.
pub(crate) struct Run {
    scenario: Scenario,
    counts: Counts,
    figures: Figures,
}

/// Simulates all scenarios.
fn runs(fleet: &Fleet, bytes: Bytes) -> Vec<Run> {
    let expected = Estimate::of(fleet, &bytes, true).refreshes / fleet.scale();
    let limit = (expected * f64::from(fleet.capacity)).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is far less")]
    let limit = Some(limit as u64);
    let scenarios = [(true, None), (false, None), (true, limit), (false, limit)];
    let scenarios = scenarios.map(|(jitter, capacity)| Scenario { jitter, capacity });
    let run = |scenario| {
        let counts = Simulation::run(fleet, scenario, bytes);
        Run { scenario, figures: Figures::of(fleet, &counts), counts }
    };
    scenarios.into_iter().map(run).collect()
}

fn run(fleet: &Fleet) -> Result<bool> {
    fleet.check()?;
    let bytes = Bytes::measured(fleet.access_token, fleet.refresh_token, fleet.lifetime);
    let runs = runs(fleet, bytes);
    let report = report::tables(fleet, &bytes, &runs);
    print!("{report}");
    if runs.iter().any(|run| run.counts.reused > 0) {
        return Err("a spent refresh token was presented".into());
    }
    let picture = picture::draw(fleet, &runs)?;
    let path = drawing::in_target("fleet_at_scale.svg")?;
    fs::write(&path, &picture)?;
    eprintln!("the picture is {}", path.display());
    if *fleet != Fleet::parse_from(["fleet_at_scale"]) {
        return Ok(true);
    }
    let mut same = true;
    for (name, text) in [("scale_figures.md", report), ("scale.svg", picture)] {
        let committed = format!("{}/src/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&committed, &text)?;
        } else if fs::read_to_string(&committed)? != text {
            eprintln!("src/{name} differs; UPDATE_EXPECT=1 rewrites it");
            same = false;
        }
    }
    Ok(same)
}

fn main() -> ExitCode {
    match run(&Fleet::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet_at_scale: {error}");
            ExitCode::from(2)
        }
    }
}
