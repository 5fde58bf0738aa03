//! Where something is kept, as `--store` says it: `file:PATH`, `redis://…` or `postgres://…`. The text may
//! hold a password, so that no error repeats it.

#![allow(dead_code, reason = "each example that includes this uses a part of it")]

use std::error::Error;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The kinds of places.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    File,
    Redis,
    Postgres,
}

impl Kind {
    /// Returns the kind of the place, and its path or its URL; `None` if it is of none.
    pub(crate) fn of(place: &str) -> Option<(Self, &str)> {
        match place.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Some((Self::File, path)),
            Some(("redis", rest)) if rest.starts_with("//") => Some((Self::Redis, place)),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Some((Self::Postgres, place))
            }
            None if place == "memory" => Some((Self::Memory, "")),
            Some(_) | None => None,
        }
    }
}

/// The error of an example that was built without the feature for this kind of place.
pub(crate) fn not_built(feature: &str) -> Box<dyn Error + Send + Sync> {
    format!(
        "this is built without `{feature}`: run it by `cargo run --features {feature} --example …`"
    )
    .into()
}

/// A connection for the URL. Nothing is sent yet.
#[cfg(feature = "redis")]
pub(crate) fn redis(url: &str) -> Result<perennial::adapters::redis::RedisConnection> {
    // What is wrong with it is not told: that might be a part of the password.
    let client = redis::Client::open(url).map_err(|_| "the redis:// URL cannot be read")?;
    Ok(perennial::adapters::redis::RedisConnection::open(client)?)
}

/// A connection for the URL, to a database that has the tables. Without TLS.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres(
    url: &str,
) -> Result<perennial::adapters::postgres::PostgresConnection> {
    let config = url.parse::<tokio_postgres::Config>();
    // The same.
    let config = config.map_err(|_| "the postgres:// URL cannot be read")?;
    let connection =
        perennial::adapters::postgres::PostgresConnection::open(config, tokio_postgres::NoTls)?;
    connection.migrate().await?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_place_is_known_by_how_its_text_begins() {
        for (place, expected) in [
            ("memory", Some((Kind::Memory, ""))),
            ("file:grant.json", Some((Kind::File, "grant.json"))),
            ("file:/a:b", Some((Kind::File, "/a:b"))),
            ("redis://:pw@a/", Some((Kind::Redis, "redis://:pw@a/"))),
            ("postgres://u:pw@a/d", Some((Kind::Postgres, "postgres://u:pw@a/d"))),
            ("postgresql:///d?host=/run", Some((Kind::Postgres, "postgresql:///d?host=/run"))),
        ] {
            assert_eq!(Kind::of(place), expected, "{place}");
        }
        for place in
            ["", "file", "file:", "grant.json", "redis:a", "postgres", "mysql://a", "memory:"]
        {
            assert_eq!(Kind::of(place), None, "{place}");
        }
    }
}
