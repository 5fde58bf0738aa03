//! Why a server is not built.

use std::string::String;

use thiserror::Error as ThisError;

/// Why a server is not built: a setting that would fail, or be unsafe, in operation.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum BuildError {
    /// A client secret could be guessed.
    #[error(
        "a secret of the client {0:?} has fewer than 16 bytes; draw it at random: `openssl rand -base64 32`"
    )]
    ShortSecret(String),
    /// Two clients have one id.
    #[error("the client {0:?} is registered twice; add another secret with `and_secret`")]
    RepeatedClient(String),
    /// The id of one client, form-decoded, is that of another. Clients send an id either way.
    #[error(
        "the client ids {0:?} and {1:?} are the same once decoded from a form; change one of them"
    )]
    CollidingClients(String, String),
    /// Anybody can log in at a server that others reach.
    #[error(
        "the login for development is for a URL of this machine only, such as http://localhost:8080, and this is \
         {0:?}; remove `with_dev_login`, or turn on the feature `testing` in tests"
    )]
    DevelopmentLogin(String),
    /// The program would serve a grant type that this crate serves.
    #[error("the grant type {0:?} is served already; choose the program's own")]
    RepeatedGrantType(String),
    /// The program's metadata would replace what is computed.
    #[error("the metadata field {0:?} is computed by the server; leave it out")]
    ComputedMetadata(String),
}
