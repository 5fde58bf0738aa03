//! Users and their passwords, hashed by Argon2id.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{
    PasswordHash, PasswordHashString, PasswordHasher as _, PasswordVerifier as _, SaltString,
};
use perennial::token::Secret;
use tokio::sync::Semaphore;

use crate::attempts::{Attempts, TooMany};

/// How many passwords are hashed at once: each takes 19 MiB.
const AT_ONCE: usize = 2;

/// The longest password, in bytes.
const LONGEST: usize = 1024;

/// Who can log in.
#[derive(Clone)]
pub(crate) struct Users {
    hashes: Arc<BTreeMap<String, PasswordHashString>>,
    /// What the password of an unknown user is compared with.
    nobody: PasswordHashString,
    turns: Arc<Semaphore>,
    attempts: Arc<Attempts>,
    /// How many passwords were hashed to verify them.
    hashed: Arc<AtomicUsize>,
}

impl Default for Users {
    fn default() -> Self {
        let nobody = hash("nobody has it").expect("the operating system has random numbers");
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self {
            hashes: Arc::default(),
            nobody,
            turns,
            attempts: Arc::default(),
            hashed: Arc::default(),
        }
    }
}

impl Users {
    /// Adds a user, as `NAME:PASSWORD`. An error does not repeat it.
    pub(crate) fn add(&mut self, user: &str) -> Result<(), String> {
        let (name, password) = named(user)?;
        self.insert(name, hash(password)?)
    }

    /// Adds the users of a file, a line `NAME:HASH` for each. An error does not repeat a line.
    pub(crate) fn read(&mut self, lines: &str) -> Result<(), String> {
        for (number, line) in lines.lines().enumerate() {
            let at = |error: String| format!("line {}: {error}", number + 1);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = named(line).map_err(at)?;
            let hash = PasswordHashString::new(hash.trim());
            let hash = hash.map_err(|error| at(format!("the hash cannot be read: {error}")))?;
            if !matches!(hash.algorithm().as_str(), "argon2id" | "argon2i" | "argon2d") {
                return Err(at("the hash is not of Argon2".to_owned()));
            }
            self.insert(name, hash).map_err(at)?;
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, hash: PasswordHashString) -> Result<(), String> {
        match Arc::make_mut(&mut self.hashes).insert(name.to_owned(), hash) {
            None => Ok(()),
            Some(_) => Err(format!("there are two users {name:?}")),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this is the password of this user, of which `peer` has not tried too many. One password is hashed, also
    /// of a user whom nobody knows: how long it takes does not say who has an account.
    pub(crate) async fn verify(
        &self,
        name: &str,
        password: Secret,
        peer: IpAddr,
    ) -> Result<bool, TooMany> {
        if password.expose().len() > LONGEST {
            return Ok(false);
        }
        let known = self.hashes.get(name).cloned();
        let (is_known, hash) = (known.is_some(), known.unwrap_or_else(|| self.nobody.clone()));
        let turn = self.turns.clone().acquire_owned().await.expect("it is never closed");
        // Not before its turn: no more than `AT_ONCE` are allowed of which none is counted yet.
        self.attempts.ask(name, peer)?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let (attempts, name) = (Arc::clone(&self.attempts), name.to_owned());
        // It takes tens of milliseconds of one core. It is counted also where the peer has gone meanwhile.
        let verified = tokio::task::spawn_blocking(move || {
            let password = password.expose().as_bytes();
            let matches =
                Argon2::default().verify_password(password, &hash.password_hash()).is_ok();
            let is_right = matches && is_known;
            if !is_right {
                attempts.count_wrong(&name, peer);
            }
            drop(turn);
            is_right
        });
        Ok(verified.await.unwrap_or(false))
    }
}

/// Splits `NAME:…`.
fn named(text: &str) -> Result<(&str, &str), String> {
    let (name, rest) = text.split_once(':').ok_or("there is no colon after the name")?;
    if name.is_empty() || rest.is_empty() {
        return Err("there is nothing before or after the colon".to_owned());
    }
    Ok((name, rest))
}

fn hash(password: &str) -> Result<PasswordHashString, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let hash: Result<PasswordHash<'_>, _> =
        Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.serialize()).map_err(|error| error.to_string())
}

/// As `--users-file` takes them.
impl fmt::Display for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, hash) in &*self.hashes {
            writeln!(formatter, "{name}:{}", hash.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{LONGEST, Ordering, Secret, Users};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn users() -> Users {
        let mut users = Users::default();
        users.add("alice:correct:horse").expect("a user");
        users
    }

    async fn verify(users: &Users, name: &str, password: &str) -> bool {
        users.verify(name, Secret::from(password), PEER).await.expect("few are tried")
    }

    #[tokio::test]
    async fn only_the_users_own_password_is_accepted_also_after_a_file() {
        let printed = users().to_string();
        assert!(!printed.contains("horse"), "{printed}");
        let mut read = Users::default();
        read.read(&format!("# users\n\n{printed}")).expect("it was printed");
        for users in [users(), read] {
            assert!(verify(&users, "alice", "correct:horse").await);
            for (name, password) in [
                ("alice", "correct"),
                ("alice", ""),
                ("Alice", "correct:horse"),
                ("bob", "nobody has it"),
            ] {
                assert!(!verify(&users, name, password).await, "{name} {password}");
            }
        }
    }

    #[tokio::test]
    async fn a_user_whom_nobody_knows_costs_as_many_hashes_as_one_with_a_wrong_password() {
        let users = users();
        let mut costs = Vec::new();
        for (name, password) in [("alice", "correct:horse"), ("alice", "wrong"), ("bob", "wrong")] {
            let before = users.hashed.load(Ordering::Relaxed);
            verify(&users, name, password).await;
            costs.push(users.hashed.load(Ordering::Relaxed) - before);
        }
        assert_eq!(costs, [1, 1, 1]);
        let params = |hash: &super::PasswordHashString| {
            hash.as_str().rsplitn(3, '$').last().map(str::to_owned)
        };
        assert_eq!(
            params(&users.nobody),
            params(&users.hashes["alice"]),
            "the hashes cost the same"
        );
        assert!(!verify(&users, "alice", &"x".repeat(LONGEST + 1)).await);
    }

    #[tokio::test]
    async fn right_passwords_are_not_counted() {
        let users = users();
        for _ in 0..=crate::attempts::OF_A_NAME.get() {
            assert!(verify(&users, "alice", "correct:horse").await);
        }
    }

    #[tokio::test]
    async fn guesses_that_nobody_waits_for_are_counted_and_beyond_the_limit_nothing_is_hashed() {
        let users = users();
        let guess = || users.verify("alice", Secret::from("wrong"), PEER);
        for _ in 0..100 {
            // The peer is gone as soon as its password is hashed.
            let before = users.hashed.load(Ordering::Relaxed);
            tokio::select! {
                biased;
                refused = guess() => if refused.is_err() { break },
                () = until_hashed(&users, before) => {}
            }
        }
        let hashed = users.hashed.load(Ordering::Relaxed);
        let most = usize::try_from(crate::attempts::OF_A_NAME.get()).expect("few") + super::AT_ONCE;
        assert!(hashed < most, "{hashed}");
        let right = users.verify("alice", Secret::from("correct:horse"), PEER).await;
        assert!(right.is_err(), "whether it is right is not told");
        assert_eq!(users.hashed.load(Ordering::Relaxed), hashed);
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let right = users.verify("alice", Secret::from("correct:horse"), elsewhere).await;
        assert!(right.expect("none was wrong there"), "nobody locks her out");
    }

    async fn until_hashed(users: &Users, before: usize) {
        while users.hashed.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
    }

    // Rule G1.
    #[test]
    fn a_line_that_cannot_be_read_is_an_error_that_does_not_repeat_it() {
        for line in [
            "planted",
            ":planted",
            "alice:",
            "alice:planted",
            "alice:$scrypt$planted",
            "alice:$planted$",
        ] {
            let error = Users::default().read(line).expect_err(line);
            assert!(error.starts_with("line 1: ") && !error.contains("planted"), "{line}: {error}");
        }
        let error = Users::default().add("planted").expect_err("it has no password");
        assert!(!error.contains("planted"), "{error}");
        let error = users().add("alice:planted").expect_err("she is there");
        assert!(error.contains("two users") && !error.contains("planted"), "{error}");
    }
}
