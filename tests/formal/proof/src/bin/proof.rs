//! `proof [--only NAME,…] [--one-in N] [--confirm-one-in N|none]`: proves the rules of
//! all three machines for all 64-bit times, and prints a line for each property.

use std::process::ExitCode;

use perennial_proof::symbolic::prove::{Options, prove};
use perennial_proof::symbolic::solver::Confirmed;

fn main() -> ExitCode {
    let mut options = Options { confirmed: Some(1), only: Vec::new(), one_in: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match (argument.as_str(), value.as_str()) {
            ("--only", names) => options.only = names.split(',').map(str::to_owned).collect(),
            ("--one-in", number) => options.one_in = number.parse().expect("a number"),
            ("--confirm-one-in", "none") => options.confirmed = None,
            ("--confirm-one-in", number) => {
                options.confirmed = Some(number.parse().expect("a number"));
            }
            (unknown, _) => panic!("{unknown} is no option, or not that"),
        }
    }
    let report = prove(&options);
    let mut broken = 0;
    for line in &report.lines {
        let verdict = if line.counterexample.is_some() { "REFUTED" } else { "holds" };
        println!(
            "{:<14} {:<9} {verdict:<8} {:>10} paths {:>8} queries {:>7.1} s  {}",
            line.name,
            line.rules,
            line.paths,
            line.queries,
            line.took.as_secs_f64(),
            line.says
        );
    }
    for line in &report.lines {
        if let Some(counterexample) = &line.counterexample {
            broken += 1;
            println!("\n{} ({}): {counterexample}", line.name, line.rules);
        }
    }
    let paths: u64 = report.lines.iter().map(|line| line.paths).sum();
    let Confirmed { agreed, undecided } = report.agreed.unwrap_or_default();
    println!(
        "starts={} steps={} server_steps={} lease_steps={} paths={paths} queries={} known={} decisions={} agreed={agreed} undecided={undecided} counterexamples={broken}",
        report.starts,
        report.steps,
        report.turns,
        report.holds,
        report.cost.queries,
        report.cost.known,
        report.cost.decisions,
    );
    if report.lines.is_empty() || broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
