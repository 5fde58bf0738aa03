// What stands before a foreign authorization server: it listens, seeds grants, and counts.
//
// Each grant has a name, and its own paths: `/NAME/token` and `/NAME/api` are handed on to the
// server as `/token` and `/api`, and `/NAME/stats` says how they were answered. So many clients
// can share one server, and each be counted alone.

import { fstatSync } from 'node:fs';
import { createServer } from 'node:http';

const HOST = '127.0.0.1';

/** Serves what `build(issuer)` makes: `{ client, handler, seed }`. */
export async function serve(build) {
  const counters = new Map();
  const lifetimes = new Map();
  let foreign;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, `http://${HOST}`);
    const [, name, route] = pathname.split('/');
    if (request.method === 'POST' && name === 'seed') {
      announcement(searchParams.get('name'), Number(searchParams.get('ttl')))
        .then((it) => json(response, 200, it))
        .catch((error) => json(response, 500, { error: String(error) }));
    } else if (route === 'stats') {
      json(response, 200, tally(name));
    } else {
      request.grantName = name;
      request.url = request.url.slice(name.length + 1);
      response.once('finish', () => count(name, route, request, response.statusCode));
      foreign.handler(request, response);
    }
  });
  // Five seconds by default: a client could ask again just as its connection is closed.
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, HOST, resolve));
  const origin = `http://${HOST}:${server.address().port}`;

  /** Logs `name` in, with access tokens that live for `ttl` seconds, and says all that a client needs. */
  async function announcement(name, ttl) {
    lifetimes.set(name, ttl);
    const { access_token, refresh_token } = await foreign.seed(name);
    counters.delete(name);
    return {
      token_endpoint: `${origin}/${name}/token`,
      api_url: `${origin}/${name}/api`,
      stats_url: `${origin}/${name}/stats`,
      seed_url: `${origin}/seed`,
      ...foreign.client,
      access_token,
      refresh_token,
    };
  }

  function of(name) {
    const fresh = { token_requests: 0, token_refused: 0, api_ok: 0, api_401: 0, other: 0, lapsed: new Set() };
    if (!counters.has(name)) counters.set(name, fresh);
    return counters.get(name);
  }

  function count(name, route, request, status) {
    const it = of(name);
    if (route === 'token') {
      it.token_requests += 1;
      if (status !== 200) it.token_refused += 1;
    } else if (route === 'api' && status === 200) {
      it.api_ok += 1;
    } else if (route === 'api' && status === 401) {
      it.api_401 += 1;
      it.lapsed.add(request.headers.authorization);
    } else {
      it.other += 1;
    }
  }

  /** The counters, and how many different access tokens were refused. */
  function tally(name) {
    const { lapsed, ...rest } = of(name);
    return { ...rest, lapsed: lapsed.size };
  }

  foreign = await build(origin, (name) => lifetimes.get(name));
  const ttl = Number(process.argv[2] ?? 2);
  console.log(JSON.stringify(await announcement('demo', ttl)));
  endWhenTold(() => process.exit(0));
}

/** Calls `end` on a signal, or when whoever holds the other end of standard input is gone. */
export function endWhenTold(end) {
  process.once('SIGINT', end).once('SIGTERM', end);
  const stdin = fstatSync(0);
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.on('end', end).on('close', end).resume();
}

export function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
