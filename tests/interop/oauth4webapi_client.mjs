// `oauth4webapi` as a client of our server: each request and the check of its response by itself. Ends with a
// line of JSON, of which each part is about one way to say who one is; `openid_client.mjs` prints the same.
//
// `node oauth4webapi_client.mjs URL CLIENT SECRET`; the client without a secret is called "web".

import * as oauth from 'oauth4webapi';

const [url, id, secret] = process.argv.slice(2);
const RENEWALS = 5;
// The server is on this machine, so it need not be asked by https.
const insecure = { [oauth.allowInsecureRequests]: true };
const ways = {
  none: ['web', oauth.None()],
  client_secret_basic: [id, oauth.ClientSecretBasic(secret)],
  client_secret_post: [id, oauth.ClientSecretPost(secret)],
};

/** The code of the error that `promise` ends in; null where it does not. */
const refusal = (promise) => promise.then(() => null, (error) => error.error ?? String(error));

async function through(way, [client_id, authentication]) {
  const client = { client_id };
  const issuer = new URL(url);
  // What it knows of the server is what the server's metadata say (RFC 8414).
  const discovered = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' });
  const server = await oauth.processDiscoveryResponse(issuer, discovered);

  async function login() {
    const body = new URLSearchParams({ client_id, subject: 'alice', scope: 'read' });
    if (way !== 'none') body.set('client_secret', secret);
    return (await fetch(`${url}/dev-login`, { method: 'POST', body })).json();
  }

  let number = 0;
  /** The status of a request with `token`. */
  const call = ({ access_token }) => oauth
    .protectedResourceRequest(
      access_token, 'GET', new URL(`${url}/things/${(number += 1)}`), undefined, undefined, insecure,
    )
    .then((answer) => answer.status, (error) => error.status ?? String(error));

  async function refresh({ refresh_token }) {
    const answer = await oauth.refreshTokenGrantRequest(server, client, authentication, refresh_token, insecure);
    return oauth.processRefreshTokenResponse(server, client, answer);
  }

  let [newest, spent, failed] = [await login(), undefined, 0];
  const seen = new Set([newest.refresh_token]);
  for (let renewal = 0; renewal < RENEWALS; renewal += 1) {
    [newest, spent] = [await refresh(newest), newest];
    seen.add(newest.refresh_token);
    if (await call(newest) !== 200) failed += 1;
  }
  const reuse = [await refusal(refresh(spent)), await refusal(refresh(newest))];

  const other = await login();
  const before = await call(other);
  /** What it is told of the token: whether it works, and where it does whose it is. */
  async function introspect(token) {
    const answer = await oauth.introspectionRequest(server, client, authentication, token, insecure);
    try {
      const told = await oauth.processIntrospectionResponse(server, client, answer);
      return told.active ? told.sub : told.active;
    } catch (error) {
      return error.error ?? String(error);
    }
  }
  const introspectBoth = async () => [await introspect(other.access_token), await introspect(other.refresh_token)];
  const introspection = [await introspectBoth()];
  // Once more, for what is revoked is no error to revoke (RFC 7009, section 2.2).
  for (let time = 0; time < 2; time += 1) {
    const answer = await oauth.revocationRequest(server, client, authentication, other.refresh_token, insecure);
    await oauth.processRevocationResponse(answer);
  }
  introspection.push(await introspectBoth());
  const revocation = [before, await refusal(refresh(other))];
  const ended = [await call(newest), await call(other)];

  const asked = await oauth
    .clientCredentialsGrantRequest(server, client, authentication, { scope: 'read' }, insecure);
  const own = await oauth.processClientCredentialsResponse(server, client, asked).then(
    async (it) => [await call(it), it.refresh_token === undefined],
    (error) => error.error ?? String(error),
  );
  return [way, { renewed: seen.size - 1, failed, reuse, revocation, introspection, ended, own }];
}

const told = await Promise.all(Object.entries(ways).map(([way, how]) => through(way, how)));
console.log(JSON.stringify(Object.fromEntries(told)));
