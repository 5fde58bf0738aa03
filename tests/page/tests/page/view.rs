//! What the page shows, read from its named elements.

use std::collections::BTreeMap;

use serde_json::Value;

/// Reads all of it at one instant.
pub(crate) const READ: &str = "
  const text = (id) => document.getElementById(id).textContent;
  const sessions = {};
  for (const session of document.querySelectorAll('[data-session]')) {
    const fields = { id: session.dataset.session, client: session.dataset.client };
    for (const field of session.querySelectorAll('[data-field]')) fields[field.dataset.field] = field.textContent;
    const marks = [...session.querySelectorAll('[class^=mark-]')].map((it) => it.getAttribute('class').slice(5));
    sessions[session.dataset.session] = { fields, marks };
  }
  const log = [...document.querySelectorAll('#log li')];
  return {
    headline: [...document.querySelectorAll('#headline p')].map((it) => it.textContent).join(' '),
    connection: text('connection'), outage: text('outage'), sessions,
    log: log.map((it) => it.textContent), numbers: log.map((it) => Number(it.dataset.number)),
  };";

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) headline: String,
    pub(crate) connection: String,
    pub(crate) outage: String,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) log: Vec<String>,
    pub(crate) numbers: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    fields: BTreeMap<String, String>,
    pub(crate) marks: Vec<String>,
}

impl View {
    pub(crate) fn of(read: &Value) -> Self {
        let text = |name: &str| read[name].as_str().unwrap_or_default().to_owned();
        let sessions = read["sessions"].as_object().into_iter().flatten();
        Self {
            headline: text("headline"),
            connection: text("connection"),
            outage: text("outage"),
            sessions: sessions.map(|(id, session)| (id.clone(), Session::of(session))).collect(),
            log: texts(&read["log"]),
            numbers: list(&read["numbers"]).filter_map(Value::as_u64).collect(),
        }
    }

    pub(crate) fn session(&self, id: &str) -> &Session {
        &self.sessions[id]
    }

    /// The sessions under the client's own name, without keyed ones.
    pub(crate) fn of_client(&self, client: &str) -> Vec<&Session> {
        let named = |it: &&Session| it.id().starts_with(client) && it.get("client") == client;
        self.sessions.values().filter(named).collect()
    }
}

impl Session {
    fn of(read: &Value) -> Self {
        let fields = read["fields"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fields = fields.map(|(name, value)| (name.clone(), text(value))).collect();
        Self { fields, marks: texts(&read["marks"]) }
    }

    pub(crate) fn get(&self, field: &str) -> &str {
        self.fields.get(field).unwrap_or_else(|| panic!("no data-field={field}: {self:?}"))
    }

    pub(crate) fn id(&self) -> &str {
        self.get("id")
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        let text = self.get(field);
        text.parse().unwrap_or_else(|_| panic!("{field} is {text:?}"))
    }

    /// A span as the page writes it, in whole seconds, upwards; 0 if there is none.
    pub(crate) fn seconds(&self, field: &str) -> u64 {
        let text = self.get(field);
        let Some(number) = text.strip_suffix(" s") else { return 0 };
        match number.split_once('.') {
            Some(_) => 1,
            None => number.parse().unwrap_or_else(|_| panic!("{field} is {text:?}")),
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.requests().0
    }

    pub(crate) fn failed(&self) -> u64 {
        self.requests().1
    }

    fn requests(&self) -> (u64, u64) {
        let text = self.get("requests");
        let (answered, failed) = text.split_once(" / ").expect("two numbers");
        (answered.parse().expect("a number"), failed.parse().expect("a number"))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
}
