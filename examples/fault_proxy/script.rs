//! The faults by their names on the command line.

use std::str::FromStr;
use std::time::Duration;

use perennial::testing::Fault;

/// What is listed by `--help`.
pub(crate) const FAULTS: &str = "\
Faults, each as NAME, NAME=VALUE, and with *COUNT or *all behind it; one connection each:
  pass             nothing happens
  gateway=STATUS   the server handles the request; this status comes instead of its answer
  status=STATUS    the server never sees the request; this status is the answer
  captive-portal   the server never sees the request; a page of HTML comes, with a 200
  garbage          the server never sees the request; the answer is no HTTP
  bom              the server's answer comes behind a UTF-8 byte order mark
  reset            the connection is reset, and the server never sees the request
  reset-after      the server handles the request; the connection is reset
  lose             the server handles the request; the connection is closed
  delay=SECONDS    the server handles the request; its answer comes so much later
  truncate=BYTES   the server handles the request; only the first bytes of its answer come

They are played in the order given; behind the last everything passes, unless that ends in *all.
Example: --fault pass --fault 'reset*2' --fault pass --fault gateway=502";

/// A fault, and how often it is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) fault: Fault,
    pub(crate) times: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    These(usize),
    /// From then on.
    All,
}

/// More would only be a slip of the finger: `*all` is for them.
const MOST: usize = 100_000;

impl FromStr for Played {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (fault, times) = match text.rsplit_once('*') {
            None => (text, Times::These(1)),
            Some((fault, "all")) => (fault, Times::All),
            Some((fault, count)) => {
                let times = count.parse().ok().filter(|times| (1..=MOST).contains(times));
                let times =
                    times.ok_or_else(|| format!("`*` needs 1 to {MOST} behind it, or `all`"));
                (fault, Times::These(times?))
            }
        };
        Ok(Self { fault: named(fault)?, times })
    }
}

fn named(text: &str) -> Result<Fault, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    Ok(match (name, value) {
        ("pass", None) => Fault::Pass,
        ("captive-portal", None) => Fault::html(),
        ("garbage", None) => Fault::garbage(),
        ("bom", None) => Fault::byte_order_mark(),
        ("reset", None) => Fault::ResetBefore,
        ("reset-after", None) => Fault::ResetAfter,
        ("lose", None) => Fault::LoseResponse,
        ("gateway", Some(value)) => {
            Fault::replacing(status(value)?, Some(("content-type", "text/html")), PAGE)
        }
        ("status", Some(value)) => {
            Fault::responding(status(value)?, Some(("content-type", "text/html")), PAGE)
        }
        ("delay", Some(value)) => Fault::Delay(seconds(value)?),
        ("truncate", Some(value)) => {
            let bytes = value.parse().map_err(|_| "`truncate` needs a number of bytes".to_owned());
            Fault::Truncate(bytes?)
        }
        ("gateway" | "status" | "delay" | "truncate", None) => {
            return Err(format!("`{name}` needs a value, as in `{name}=VALUE`"));
        }
        _ => return Err("there is no such fault; `--help` lists them".to_owned()),
    })
}

const PAGE: &str = "<!doctype html><h1>It did not work</h1>";

fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (200..600).contains(status));
    status.ok_or_else(|| "a status is a number from 200 to 599".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "`delay` needs a number of seconds, such as 2.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_the_help_is_understood_and_no_other_word() {
        let listed = FAULTS.lines().filter(|line| line.starts_with("  "));
        let mut number = 0;
        for line in listed {
            let name = line.trim().split(' ').next().expect("a name");
            let name = name.replace("STATUS", "502").replace("SECONDS", "0.5");
            let name = name.replace("BYTES", "9");
            assert!(name.parse::<Played>().is_ok(), "{name}");
            number += 1;
        }
        assert_eq!(number, 11);
        for (wrong, why) in [
            ("x", "there is no such fault; `--help` lists them"),
            ("reset=2", "there is no such fault; `--help` lists them"),
            ("", "there is no such fault; `--help` lists them"),
            ("delay", "`delay` needs a value, as in `delay=VALUE`"),
            ("delay=-1", "`delay` needs a number of seconds, such as 2.5"),
            ("gateway=99", "a status is a number from 200 to 599"),
            ("truncate=x", "`truncate` needs a number of bytes"),
            ("reset*0", "`*` needs 1 to 100000 behind it, or `all`"),
            ("reset*", "`*` needs 1 to 100000 behind it, or `all`"),
        ] {
            assert_eq!(wrong.parse::<Played>().expect_err(wrong), why, "{wrong}");
        }
    }

    #[test]
    fn a_fault_is_played_once_unless_told_otherwise() {
        for (text, times) in [
            ("delay=2.5", Times::These(1)),
            ("delay=2.5*3", Times::These(3)),
            ("delay=2.5*all", Times::All),
        ] {
            let fault = Fault::Delay(Duration::from_millis(2500));
            assert_eq!(text.parse(), Ok(Played { fault, times }));
        }
    }
}
