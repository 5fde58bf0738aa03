//! A demonstration: many callers, short-lived tokens, a hostile authorization server, and no request
//! fails.
//!
//! Starts an authorization server on loopback whose access tokens live two seconds, which revokes
//! tokens at random, answers 503 now and then and loses some of its answers. Many sessions are
//! used by async tasks and plain threads; some keep their grant in a file, and one of those is
//! dropped half-way and started again from its file. At the end: a table, one line of JSON, and
//! `target/silent_refresh.svg`.

#![allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

#[path = "../support/counting.rs"]
mod counting;
#[path = "../support/drawing.rs"]
mod drawing;
#[path = "../authorization_server/server/mod.rs"]
mod server;

mod clients;
mod record;
mod report;
mod timeline;
mod world;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use record::Record;
use world::World;

/// Shows silent token refresh from end to end, over real HTTP on this machine.
///
/// Exits with 1 unless every caller got every answer.
#[derive(Parser)]
#[command(version, after_help = report::KEYS)]
struct Arguments {
    /// How long to run.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How many sessions are shared by async tasks.
    #[arg(long, value_name = "N", default_value_t = 8)]
    async_sessions: usize,
    /// How many sessions are shared by plain threads.
    #[arg(long, value_name = "N", default_value_t = 3)]
    thread_sessions: usize,
    /// How many sessions keep their grant in a file (at least one).
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    file_sessions: u64,
    /// How many callers share each session.
    #[arg(long, value_name = "N", default_value_t = 6)]
    callers: usize,
    /// Seed of the server's misdeeds.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("silent_refresh: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let length = Duration::from_secs(arguments.seconds);
    let record = Arc::new(Record::new());
    let world = World::start(&arguments, Arc::clone(&record)).await?;

    let bar = tokio::spawn(progress(length, Arc::clone(&record)));
    let mischief = tokio::spawn(world::revoke_at_random(
        Arc::clone(&world),
        arguments.seed,
        Arc::clone(&record),
    ));
    let sampler = tokio::spawn(clients::sample_states(Arc::clone(&world), Arc::clone(&record)));
    clients::run_all(&world, &arguments, &record, length).await?;
    sampler.abort();
    mischief.abort();
    bar.await?;

    let summary = report::summarise(&world, &record);
    println!("{}", report::table(&world));
    println!("all callers: {} answered, {} failed", summary.answered, summary.failed);
    let picture = timeline::draw(&world, &record, &summary, length)?;
    println!("timeline: {}", picture.display());
    println!("{}", summary.to_json());
    Ok(summary.failed == 0)
}

/// Shows how far the run has come, until it is over.
async fn progress(length: Duration, record: Arc<Record>) {
    let tick = Duration::from_millis(100);
    let ticks = u64::try_from(length.as_millis() / tick.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::new(ticks);
    let style = ProgressStyle::with_template("{bar:40.green} {elapsed_precise} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for _ in 0..ticks {
        tokio::time::sleep(tick).await;
        bar.inc(1);
        let (answered, failed) = record.answered_and_failed();
        bar.set_message(format!("{answered} answered, {failed} failed"));
    }
    bar.finish();
}
