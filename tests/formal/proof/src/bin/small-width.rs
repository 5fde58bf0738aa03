//! `small-width [TRANSITIONS]`: one step from any state under any policy, on three-bit instants, at least
//! so many of them; prints what each family went through.

use std::process::ExitCode;

use perennial_proof::small::Count;
use perennial_proof::small::any::Any;
use perennial_proof::small::families::{FAMILIES, everything};

fn main() -> ExitCode {
    let wanted =
        std::env::args().nth(1).map_or(1_000_000_000, |text| text.parse().expect("a number"));
    let (mut count, mut any) = (Count::default(), Any::default());
    for (name, family) in FAMILIES {
        let before = count.transitions + count.looks;
        family(&mut count, &mut any);
        println!("{:>12} {name}", count.transitions + count.looks - before);
    }
    let before = count.transitions + count.looks;
    everything(&mut count, &mut any, wanted);
    println!("{:>12} everything, drawn", count.transitions + count.looks - before);
    println!("{count}");
    if count.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
