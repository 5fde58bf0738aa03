//! The devices of each user: the families of refresh tokens, with a label.
//!
//! Which family has which label is kept in memory, by this process alone. When it was last used, and whether it
//! still works, is in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perennial::issue::{FamilyId, FamilyStore};
use perennial::store::StoreError;
use serde_json::{Value, json};

/// The longest label, in characters.
const LONGEST: usize = 60;

/// The families of each subject, and their labels.
type BySubject = BTreeMap<String, Vec<(FamilyId, String)>>;

pub(crate) struct Devices<S> {
    families: Arc<S>,
    of_subject: Arc<Mutex<BySubject>>,
}

impl<S: FamilyStore> Devices<S> {
    pub(crate) fn new(families: S) -> Self {
        Self { families: Arc::new(families), of_subject: Arc::default() }
    }

    /// Remembers a login.
    pub(crate) fn add(&self, subject: &str, family: FamilyId, label: &str) {
        let label = label.chars().filter(|it| !it.is_control()).take(LONGEST).collect();
        self.lock().entry(subject.to_owned()).or_default().push((family, label));
    }

    /// The devices of a subject that are logged in, the newest first, as JSON.
    pub(crate) async fn of(&self, subject: &str) -> Result<Value, StoreError> {
        let known = self.lock().get(subject).cloned().unwrap_or_default();
        let mut devices = Vec::new();
        for (id, label) in known.iter().rev() {
            let Some(found) = self.families.find(*id).await? else { continue };
            if found.record.is_revoked() || found.record.subject != subject {
                continue;
            }
            let (began, used) = (found.record.family.began, found.record.family.used);
            let (began, used) = (began.as_millis(), used.as_millis());
            let id = id.to_string();
            devices.push(json!({ "id": id, "label": label, "began": began, "used": used }));
        }
        Ok(devices.into())
    }

    /// Logs a device of the subject out. One of somebody else stays as it is.
    pub(crate) async fn revoke(&self, subject: &str, family: FamilyId) -> Result<(), StoreError> {
        let is_theirs =
            self.lock().get(subject).is_some_and(|all| all.iter().any(|(id, _)| *id == family));
        if is_theirs { self.families.revoke(family).await } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, BySubject> {
        self.of_subject.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Devices<S> {
    fn clone(&self) -> Self {
        Self { families: Arc::clone(&self.families), of_subject: Arc::clone(&self.of_subject) }
    }
}

/// What a browser says that it is, in two words.
pub(crate) fn label(user_agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "unknown device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use perennial::issue::{Issuer, Keys, Login, MemoryFamilies};
    use serde_json::Value;

    use super::{Devices, label};

    fn labels(devices: &Value) -> Vec<&str> {
        let all = devices.as_array().expect("a list").iter();
        all.map(|it| it["label"].as_str().expect("a text")).collect()
    }

    // Rule D3.
    #[tokio::test]
    async fn a_device_is_listed_until_it_is_logged_out_and_only_by_its_user() {
        let families = MemoryFamilies::new();
        let keys = Keys::new([7; 32]).expect("it is long enough");
        let issuer = Issuer::builder(keys, families.clone()).build();
        let devices = Devices::new(families);
        let log_in = async |subject: &str, label: &str| {
            let login = issuer.login(Login::new("web", subject)).await.expect("in memory");
            devices.add(subject, login.family, label);
            login
        };
        let (first, _) = (log_in("alice", "phone").await, log_in("alice", "desk\r\ntop").await);
        log_in("bob", "tablet").await;
        let of = async |subject: &str| devices.of(subject).await.expect("in memory");
        assert_eq!(labels(&of("alice").await), ["desktop", "phone"]);
        devices.revoke("bob", first.family).await.expect("in memory");
        assert!(issuer.authenticate(&first.access_token).await.is_ok(), "it is not his");
        devices.revoke("alice", first.family).await.expect("in memory");
        assert!(issuer.authenticate(&first.access_token).await.is_err());
        assert_eq!(labels(&of("alice").await), ["desktop"]);
        assert_eq!(issuer.revoke_subject("alice").await.expect("in memory"), 1);
        assert!(labels(&of("alice").await).is_empty());
        assert_eq!(labels(&of("bob").await), ["tablet"]);
    }

    #[test]
    fn a_browser_is_labelled_by_name_and_system() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
        let phone =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1";
        assert_eq!(label(chrome), "Chrome on Linux");
        assert_eq!(label(phone), "Safari on iPhone");
        assert_eq!(label("curl/8"), "curl");
        assert_eq!(label(""), "unknown device");
    }
}
