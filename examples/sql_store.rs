//! A grant in a row of an SQL table, compare-and-swapped by one statement: `cargo run --example sql_store`.
//!
//! `SqlStore` is the whole store. The test below runs it through the conformance test for stores.

use std::sync::{Arc, Mutex, PoisonError};

use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use rusqlite::{Connection, OptionalExtension, params};

/// The row of this name, in the table `grants (name TEXT PRIMARY KEY, version INTEGER, content TEXT)`.
#[derive(Clone)]
struct SqlStore(Arc<Mutex<Connection>>, String);

const SELECT: &str = "SELECT content FROM grants WHERE name = ?1";
/// Changes no row unless the version is ?2, or is 0 and there is no row yet.
const SWAP: &str = "INSERT INTO grants
    SELECT ?1, ?3, ?4 WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM grants WHERE name = ?1)
    ON CONFLICT (name) DO UPDATE SET version = ?3, content = ?4 WHERE version = ?2";

impl SqlStore {
    fn read(&self, sql: &Connection) -> Result<Versioned, StoreError> {
        let text: Option<String> =
            sql.query_row(SELECT, [&self.1], |row| row.get(0)).optional().map_err(failed)?;
        text.map_or(Ok(Versioned::EMPTY), |text| Versioned::from_json(text.as_bytes()))
    }

    /// Runs `work` on one of tokio's threads for what blocks.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self, &Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let locked = move || work(&self, &self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(locked).await.map_err(failed)?
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::unreachable("the database could not be read or written").with_source(error)
}

impl Store for SqlStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.clone().run(Self::read)
    }

    fn swap(
        &self,
        expected: Version,
        grant: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        // No row has a version that is not an i64.
        let number = |version: Version| i64::try_from(version.number()).unwrap_or(-1);
        self.clone().run(move |this, sql| {
            this.read(sql)?; // what is damaged is not replaced
            let next = Versioned { version: expected.next(), grant };
            let text = next.to_json(); // to encrypt it, wrap this store: `adapters::sealed`
            let row = params![this.1, number(expected), number(next.version), text.expose()];
            match sql.execute(SWAP, row).map_err(failed)? {
                1 => Ok(Swap::Done(next.version)),
                _ => this.read(sql).map(Swap::Conflict),
            }
        })
    }
}

/// Opens the database, and makes the table where there is none.
fn open(path: &std::path::Path, name: &str) -> rusqlite::Result<SqlStore> {
    let sql = Connection::open(path)?;
    sql.execute_batch(
        "CREATE TABLE IF NOT EXISTS grants
         (name TEXT PRIMARY KEY, version INTEGER NOT NULL, content TEXT NOT NULL)",
    )?;
    Ok(SqlStore(Arc::new(Mutex::new(sql)), name.into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use perennial::session::Session;
    use perennial::testing::Scripted;
    use perennial::token::Grant;

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("grants.sqlite");
    let session = || -> Result<Session, Box<dyn std::error::Error>> {
        let refresher = Scripted::new(); // in a program: `adapters::oauth2`
        Ok(Session::builder_with(refresher).store(open(&path, "alice")?).build()?)
    };
    let hour = std::time::Duration::from_secs(3600);
    session()?.install(Grant::new("at-1", "rt-1", hour)).await?;
    let later = session()?;
    println!("another session has the token {:?}", later.token().await?.expose());
    let found: (i64, i64) = Connection::open(&path)?.query_row(
        "SELECT version, length(content) FROM grants WHERE name = 'alice'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    println!("from a row at version {}, of {} bytes", found.0, found.1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
    use perennial::testing::StoreConformance;

    use super::*;

    // Rules F1, F5.
    #[tokio::test]
    async fn it_conforms_sealed_or_not_and_reports_a_row_that_is_no_grant() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("grants.sqlite");
        let opened = {
            let path = path.clone();
            move |name: &str| open(&path, name).expect("a database")
        };
        let damage = move || {
            let sql = Connection::open(&path).expect("the database");
            sql.execute("UPDATE grants SET content = 'no grant'", []).expect("a row");
        };
        let plain = opened.clone();
        let checked = StoreConformance::new(move || plain("plain")).damaged(damage);
        let on_tokio = |task| drop(tokio::spawn(task));
        assert_eq!(checked.writers(4, 4).spawner(on_tokio).check().await, Ok(()));
        let keys = Keys::new(SealingKey::new([1; 32]));
        let checked = StoreConformance::new(move || Sealed::new(opened("sealed"), &keys, "sealed"));
        assert_eq!(checked.writers(4, 4).spawner(on_tokio).check().await, Ok(()));
    }

    #[test]
    fn the_example_runs() {
        main().expect("it ends");
    }
}
