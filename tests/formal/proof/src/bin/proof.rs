//! `proof [--only NAME,…] [--one-in N] [--encoding integers|vectors|both]`: proves the rules of the
//! client machine for all 64-bit times, and prints a line for each property.

use std::process::ExitCode;

use perennial_proof::symbolic::encode::Encoding;
use perennial_proof::symbolic::prove::{Options, prove};

fn main() -> ExitCode {
    let mut options = Options {
        encodings: vec![Encoding::Integers, Encoding::Vectors],
        only: Vec::new(),
        one_in: 1,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match (argument.as_str(), value.as_str()) {
            ("--only", names) => options.only = names.split(',').map(str::to_owned).collect(),
            ("--one-in", number) => options.one_in = number.parse().expect("a number"),
            ("--encoding", "both") => {}
            ("--encoding", "integers") => options.encodings = vec![Encoding::Integers],
            ("--encoding", "vectors") => options.encodings = vec![Encoding::Vectors],
            (unknown, _) => panic!("{unknown} is no option, or not that"),
        }
    }
    let encodings = options.encodings.len();
    let report = prove(options);
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
    println!(
        "starts={} steps={} paths={paths} queries={} decisions={} encodings={encodings} counterexamples={broken}",
        report.starts, report.steps, report.queries, report.decisions,
    );
    if report.lines.is_empty() || broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
