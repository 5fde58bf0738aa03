// The page: `?requests=200` ends after so many, and says "done".
import axios from "axios";
import { createClient } from "./session.mjs";

const most = Number(new URLSearchParams(location.search).get("requests") ?? Infinity);
const show = (id, value) => { document.getElementById(id).textContent = value; };
let [tokens, lifetime] = [null, 1];
const seen = new Set();
const storage = {
  get: () => tokens,
  set: (next) => {
    tokens = next;
    lifetime = next.expires_at - Date.now();
    seen.add(next.access_token);
  },
};
// Under five minutes left, or a quarter of a shorter life: a token of a minute is not refreshed each time.
const margin = () => Math.min(5 * 60 * 1000, lifetime / 4);
const { client, login, counts } = createClient({ axios, base: location.origin, storage, margin });

let [requests, failed] = [0, 0];
function draw() {
  const left = tokens === null ? 0 : tokens.expires_at - Date.now();
  show("requests", requests);
  show("failed", failed);
  document.getElementById("failed").className = failed > 0 ? "bad" : "";
  show("tokens", seen.size);
  show("refreshes", counts.refreshes);
  show("waits", counts.waits);
  show("replays", counts.replays);
  show("left", left > 0 ? `${(left / 1000).toFixed(1)} s` : "nothing");
  document.getElementById("bar").style.width = `${Math.max(0, Math.min(100, 100 * left / lifetime))}%`;
}

await login("alice");
// Also when all is done: how long the token lives is to stay true.
setInterval(draw, 100);
show("state", most < Infinity ? `running, up to ${most} requests` : "running");
while (requests < most) {
  const batch = Array.from({ length: Math.min(10, most - requests) }, async (_, index) => {
    const wanted = requests + index;
    try {
      const { data } = await client.get(`/things/${wanted}`);
      if (data !== `thing ${wanted} of alice`) throw new Error(`answered: ${data}`);
    } catch {
      failed += 1;
    }
  });
  await Promise.all(batch);
  requests += batch.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
draw();
show("state", "done");
