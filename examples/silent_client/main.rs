//! Calls an API through expiries, with any OAuth 2.0 token endpoint behind it, and says what the
//! caller noticed: nothing, if all is well.
//!
//! ```text
//! SILENT_REFRESH_TOKEN=… cargo run --example silent_client -- \
//!     --token-endpoint https://auth.example.com/token --client-id my-client \
//!     --api-url https://api.example.com/me --requests 1000 --seconds 600
//! ```
//!
//! Try it against `cargo run --example authorization_server`, which prints what this one needs, and
//! with `cargo run --example fault_proxy` in between. Secrets are better not on a command line, which
//! others on the machine can read: `SILENT_CLIENT_SECRET`, `SILENT_REFRESH_TOKEN` and
//! `SILENT_ACCESS_TOKEN` are taken from the environment, and an argument or a variable that is `-`
//! from standard input, a line each, in this order. None is ever shown.
//!
//! # Where the grant is kept
//! In memory, unless `--store`, or `SILENT_STORE`, says otherwise: `file:PATH`, `redis://…` or
//! `postgres://…`. A later run goes on with what is there, and needs no refresh token; copies of this
//! program that run at once take turns to refresh:
//!
//! ```text
//! SILENT_STORE=postgres://me:secret@localhost/app cargo run --features postgres --example silent_client -- …
//! ```
//!
//! # The report
//! One line of JSON on standard output, whatever happened: also behind ctrl-c or SIGTERM, after the
//! session was lost, and where it could not start; only a wrong command line has none.
//!
//! | member | |
//! |---|---|
//! | `requests` | how many were asked for |
//! | `ok`, `failed`, `unmade` | what became of them: answered well; answered otherwise or not at all; not made or not ended, because of a signal |
//! | `unauthorized_seen_by_caller` | how many of `failed` were a 401 |
//! | `refreshes`, `refresh_failed`, `refresh_declined` | refreshes that brought a grant; that did not; and those among them that the server declined for good |
//! | `session` | `ok`; `unavailable`: the authorization server does not answer, and the session goes on asking; `configuration`: the client's settings must be corrected; `try log in`: it refuses for long without saying why; `log in`: only a login helps; `not started` |
//! | `session_lost` | 1 where `session` is `log in` |
//! | `ended` | `done`, `not started`, `interrupt`, `terminate` or `error` |
//! | `last_error` | what went wrong last, also where no caller noticed; null if nothing did |
//!
//! It exits with the first of these that is true: 2 it could not start, or the command line is wrong;
//! 1 a request failed; 3 `session` is `log in`, `try log in` or `configuration`, though no caller
//! noticed; 4 something else went wrong; 130 or 143 a signal ended it; 0 all went well.

mod arguments;
#[path = "../support/counting.rs"]
mod counting;
mod counts;
#[path = "../support/grant_store.rs"]
mod grant_store;
mod over_reqwest;
mod over_tower;
mod over_ureq;
#[path = "../support/place.rs"]
mod place;
mod program;
mod schedule;
#[path = "../support/signals.rs"]
mod signals;
mod stop;
mod words;

#[cfg(test)]
mod arguments_tests;
#[cfg(test)]
mod program_tests;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use arguments::Arguments;

fn main() -> ExitCode {
    ExitCode::from(silent_client(std::env::args_os()))
}

/// The whole program; returns what it exits with.
fn silent_client(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match Arguments::read(arguments, &mut io::stdin().lock()) {
        Ok(arguments) => {
            let (report, code) = program::run(arguments);
            // Where nobody listens any more, the code still tells.
            let _ = writeln!(io::stdout(), "{report}");
            code
        }
        Err(error) => {
            // The same.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
    }
}
