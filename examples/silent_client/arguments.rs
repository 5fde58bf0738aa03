//! What is asked for on the command line, in the environment and on standard input.

use std::ffi::OsString;
use std::io::BufRead;
use std::time::Duration;

use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, ValueEnum};
use perennial::lifecycle::Reuse;
use perennial::token::Secret;
use perennial::wire::ClientAuthentication;

use crate::grant_store::KINDS;
use crate::place::Kind;

/// Calls an API through the expiries of its access tokens.
///
/// Prints one line of JSON at the end, whatever happened, and exits with the first of these that
/// is true: 2 it could not start; 1 a caller noticed something; 3 the session needs a person, though
/// no caller noticed; 4 something else went wrong; 130 or 143 it was ended by ctrl-c or SIGTERM;
/// 0 all went well. The HTTP client of this example is built without TLS.
#[derive(Parser, Debug)]
#[command(name = "silent_client", version)]
pub(crate) struct Arguments {
    /// Where refresh tokens are exchanged.
    #[arg(long, value_name = "URL")]
    pub(crate) token_endpoint: String,
    /// What is called, by GET.
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: String,
    /// The client's identifier at the authorization server.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) client_id: String,
    /// The client's secret, if it has one; `-` reads a line of standard input.
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    #[arg(env = "SILENT_CLIENT_SECRET", hide_env_values = true)]
    pub(crate) client_secret: Option<Secret>,
    /// How the client authenticates, if it has a secret: in a header or in the body [default: basic]
    #[arg(long, value_enum)]
    pub(crate) auth: Option<Authentication>,
    /// The refresh token to start from; `-` reads a line of standard input. Like any token it may
    /// begin with a hyphen. With --store it is used only where the store is empty.
    #[arg(long, value_name = "RT", allow_hyphen_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    #[arg(env = "SILENT_REFRESH_TOKEN", hide_env_values = true, required_unless_present = "store")]
    pub(crate) refresh_token: Option<Secret>,
    /// An access token to start with; `-` reads a line of standard input. Without --expires-in it is
    /// used until it is rejected.
    #[arg(long, value_name = "AT", allow_hyphen_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    #[arg(env = "SILENT_ACCESS_TOKEN", hide_env_values = true)]
    pub(crate) access_token: Option<Secret>,
    /// How long the access token of --access-token works from now on, and any that comes without a
    /// lifetime [default: until it is rejected]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) expires_in: Option<Duration>,
    /// Where the grant is kept, also for later runs and for other processes: `file:PATH`, or with the
    /// features of these names `redis://…` or `postgres://…`, without TLS [default: in memory]
    #[arg(long, value_name = "STORE", value_parser = StringValueParser::new().map(Secret::new))]
    #[arg(env = "SILENT_STORE", hide_env_values = true)]
    pub(crate) store: Option<Secret>,
    /// Under which key a server keeps the grant: one for each user.
    #[arg(long, value_name = "KEY", default_value = "silent_client")]
    pub(crate) store_key: String,
    /// How many requests to make in all.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) requests: u64,
    /// How many of them at once.
    #[arg(long, value_name = "C", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) concurrency: u64,
    /// Over how many seconds they are spread.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) seconds: Duration,
    /// The HTTP client to use.
    #[arg(long, value_enum, default_value_t = Http::Reqwest)]
    pub(crate) http: Http,
    /// What the server does with a refresh token that it sees twice.
    #[arg(long, value_enum, visible_alias = "reuse", default_value_t = Declared::Strict)]
    pub(crate) policy: Declared,
    /// For how long after its first use an overlap or an idempotent server answers a refresh token
    /// again [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) window: Option<Duration>,
    /// How long a refresh may take before its outcome counts as unknown [default: what the policy
    /// says]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) deadline: Option<Duration>,
    /// How long a request waits through failures of the authorization server; 0 ends with the first
    /// [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) retry_for: Option<Duration>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Http {
    /// Requests and refreshes over reqwest.
    Reqwest,
    /// Requests and refreshes over ureq, on plain threads, without a runtime.
    Ureq,
    /// Requests over hyper as a tower service, refreshes over reqwest.
    Tower,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Authentication {
    /// In the `Authorization` header.
    Basic,
    /// In the body, beside the refresh token.
    Post,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Declared {
    /// It refuses, and may revoke the grant; also where nothing is known of it.
    #[value(alias = "refuse")]
    Strict,
    /// For a while it renews the access token again, without a refresh token.
    OverlapAccessOnly,
    /// For a while it answers again, each time with another successor.
    #[value(alias = "overlap")]
    OverlapSuccessors,
    /// For a while it answers again, with the very same successor.
    Idempotent,
    /// It answers again until the successor is first used.
    ConfirmByUse,
    /// It does not rotate, so the refresh token stays good.
    Unrotated,
}

/// Where a declared window is not told.
const WINDOW: Duration = Duration::from_secs(30);

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or("it must be a number of seconds from 0 on, such as 2 or 0.5")
}

impl Arguments {
    /// Reads the command line `arguments`, the environment, and `input` where a secret is `-`.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        input: &mut impl BufRead,
    ) -> Result<Self, clap::Error> {
        let read = Self::try_parse_from(arguments).map_err(without_strays)?;
        let invalid = |message: String| {
            use clap::CommandFactory as _;
            Self::command().error(ErrorKind::ValueValidation, message)
        };
        read.settled(input).map_err(invalid)
    }

    /// With the secrets that are lines of `input`, and checked in what clap does not check.
    fn settled(mut self, input: &mut impl BufRead) -> Result<Self, String> {
        let secrets = [
            ("client-secret", "SILENT_CLIENT_SECRET", self.client_secret.as_mut()),
            ("refresh-token", "SILENT_REFRESH_TOKEN", self.refresh_token.as_mut()),
            ("access-token", "SILENT_ACCESS_TOKEN", self.access_token.as_mut()),
        ];
        for (name, variable, secret) in secrets {
            let Some(secret) = secret else { continue };
            if secret.expose() == "-" {
                *secret = line(name, input)?;
            }
            if secret.expose().is_empty() {
                return Err(format!("--{name}, or {variable}, is empty: leave it out instead"));
            }
        }
        if self.access_token.is_some() && self.refresh_token.is_none() {
            return Err("--access-token starts a grant, and there is no --refresh-token".into());
        }
        if self.store.as_ref().is_some_and(|store| {
            !matches!(
                Kind::of(store.expose()),
                Some((Kind::File | Kind::Redis | Kind::Postgres, _))
            )
        }) {
            return Err(format!("--store, or SILENT_STORE, names no store: name {KINDS}"));
        }
        if self.auth.is_some() && self.client_secret.is_none() {
            return Err("--auth says how a secret is sent, and there is no --client-secret".into());
        }
        if self.window.is_some() && !self.policy.has_window() {
            return Err("--window is for a policy that has one: overlap-access-only, \
                        overlap-successors or idempotent"
                .into());
        }
        Ok(self)
    }

    /// What the server is declared to do.
    pub(crate) fn reuse(&self) -> Reuse {
        self.policy.reuse(self.window.unwrap_or(WINDOW))
    }

    pub(crate) fn authentication(&self) -> ClientAuthentication {
        match self.auth {
            Some(Authentication::Basic) | None => ClientAuthentication::Basic,
            Some(Authentication::Post) => ClientAuthentication::Post,
        }
    }
}

impl Declared {
    fn has_window(self) -> bool {
        match self {
            Self::OverlapAccessOnly | Self::OverlapSuccessors | Self::Idempotent => true,
            Self::Strict | Self::ConfirmByUse | Self::Unrotated => false,
        }
    }

    fn reuse(self, window: Duration) -> Reuse {
        match self {
            Self::Strict => Reuse::Strict,
            Self::OverlapAccessOnly => Reuse::overlap_access_only(window),
            Self::OverlapSuccessors => Reuse::overlap_successors(window),
            Self::Idempotent => Reuse::idempotent(window),
            Self::ConfirmByUse => Reuse::ConfirmByUse,
            Self::Unrotated => Reuse::Unrotated,
        }
    }
}

/// The next line of `input`, which is the secret of this name.
fn line(name: &str, input: &mut impl BufRead) -> Result<Secret, String> {
    let mut line = String::new();
    let read = input.read_line(&mut line);
    read.map_err(|error| format!("--{name} -: standard input: {}", error.kind()))?;
    let secret = Secret::new(line.trim_end_matches(['\r', '\n']));
    if secret.expose().is_empty() {
        return Err(format!("--{name} -: standard input has no line for it, or an empty one"));
    }
    Ok(secret)
}

/// Shows no argument that was not expected: a secret may have slipped out of its place.
fn without_strays(mut error: clap::Error) -> clap::Error {
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => !argument.starts_with("--"),
        Some(_) | None => false,
    };
    if error.kind() == ErrorKind::UnknownArgument && stray {
        let hidden = ContextValue::String("(not shown: it may be a secret)".into());
        error.insert(ContextKind::InvalidArg, hidden);
        error.remove(ContextKind::Suggested);
    }
    error
}
