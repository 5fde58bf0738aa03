// The page of an account. The access token is in a variable of this script, and the refresh token in a cookie that no
// script can read: it comes and goes with requests to /session/refresh.

const element = (id) => document.getElementById(id);
let token = null;
let [tokens, refreshes] = [0, 0];
let refreshing = null;

/** Takes the access token of a response of /session. */
async function take(response) {
  token = (await response.json()).access_token;
  tokens += 1;
}

/** One refresh at a time in this tab, and with `navigator.locks` in this browser. Returns whether it worked. */
function refresh() {
  refreshing ??= navigator.locks.request("refresh", async () => {
    const response = await fetch("/session/refresh", { method: "POST" });
    if (response.status === 400) return false;
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    await take(response);
    refreshes += 1;
    return true;
  }).finally(() => { refreshing = null; });
  return refreshing;
}

/** A request with the access token; after a 401 once more, with the next one. Null: nobody is logged in. */
async function api(path, options = {}) {
  for (const attempt of [1, 2]) {
    const sent = token;
    if (sent !== null) {
      const headers = { Authorization: `Bearer ${sent}` };
      const response = await fetch(path, { ...options, headers });
      if (response.status !== 401) return response;
      if (attempt === 2) break;
    }
    // Another request may have refreshed since this one was sent.
    if (sent === token && !await refresh()) break;
  }
  token = null;
  return null;
}

function showLogin(message) {
  token = null;
  element("account").hidden = true;
  element("login").hidden = false;
  element("message").textContent = message;
}

const time = (millis) => new Date(millis).toLocaleTimeString("en-GB");

function row({ id, label, began, used, here }) {
  const row = document.createElement("tr");
  row.dataset.device = id;
  const cells = [here ? `${label} (this browser)` : label, time(began), time(used)];
  for (const text of cells) row.insertCell().textContent = text;
  const button = document.createElement("button");
  button.textContent = "Log out";
  button.className = "small";
  button.onclick = () => act(`/account/devices/${id}/logout`);
  row.insertCell().append(button);
  return row;
}

/** Shows the account, or the login where nobody is logged in. */
async function show(otherwise) {
  try {
    const response = await api("/account/devices");
    if (response === null) return showLogin(otherwise);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    const { subject, devices } = await response.json();
    element("login").hidden = true;
    element("account").hidden = false;
    element("message").textContent = "";
    element("subject").textContent = subject;
    element("tokens").textContent = tokens;
    element("refreshes").textContent = refreshes;
    element("devices").replaceChildren(...devices.map(row));
  } catch (error) {
    element("message").textContent = `Not reachable: ${error.message}`;
  }
}

async function act(path) {
  await api(path, { method: "POST" });
  await show("You are logged out.");
}

element("login").onsubmit = async (event) => {
  event.preventDefault();
  const form = new URLSearchParams(new FormData(element("login")));
  element("password").value = "";
  const response = await fetch("/session/login", { method: "POST", body: form });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    return showLogin(told.error_description ?? "The login does not work now. Try again later.");
  }
  await take(response);
  await show("");
};

element("log-out").onclick = async () => {
  const response = await fetch("/session/logout", { method: "POST" });
  if (response.ok) showLogin("You are logged out.");
};
element("log-out-everywhere").onclick = () => act("/account/logout-everywhere");

await show("");
setInterval(() => { if (!element("account").hidden) show("Your session has ended. Log in again."); }, 1000);
