// Drives session.mjs through expiries, in node: `node drive.mjs URL EXPIRIES REQUESTS TTL_MS`. Ends with a
// line of JSON. At each expiry requests are fired in parallel.
import axios from "axios";
import { createClient } from "./session.mjs";

const [base, expiries, requests, ttl] = [process.argv[2], ...process.argv.slice(3).map(Number)];
let tokens = null;
const seen = new Set();
const storage = {
  get: () => tokens,
  set: (next) => { tokens = next; seen.add(next.access_token); },
};
const { client, login, counts } = createClient({ axios, base, storage, margin: () => ttl / 4 });
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

await login("alice");
const parallel = Math.ceil(requests / expiries);
let [sent, failed, number] = [0, 0, 0];
const errors = new Set();
for (let expiry = 0; expiry < expiries; expiry += 1) {
  // Every other time the expiry is slept through: what is sent then has no good token, or nearly none.
  await sleep(Math.max(0, tokens.expires_at - Date.now() + (expiry % 2 ? 50 : -ttl / 8)));
  // Now and then the clock misleads the page, and only the server knows that the token is over: after
  // another second for sure, for a JWT ends at a whole one.
  if (expiry % 6 === 5) {
    await sleep(1000);
    tokens = { ...tokens, expires_at: Date.now() + 10 * ttl };
  }
  await Promise.all(Array.from({ length: parallel }, async () => {
    const wanted = (number += 1);
    sent += 1;
    try {
      const { data } = await client.get(`/things/${wanted}`);
      if (data !== `thing ${wanted} of alice`) throw new Error(`answered: ${data}`);
    } catch (error) {
      failed += 1;
      errors.add(String(error.message));
    }
  }));
}
console.log(JSON.stringify({ requests: sent, failed, tokens: seen.size, ...counts, errors: [...errors] }));
