// `openid-client` as a client of our server. Ends with a line of JSON, of which each part is about one
// way to say who one is; the other clients print the same, but for "ended": how access tokens are
// answered that have not expired, when their refresh tokens work no more.
//
// `node openid_client.mjs URL CLIENT SECRET`; the client without a secret is called "web".

import * as oauth from 'openid-client';

const [url, id, secret] = process.argv.slice(2);
const RENEWALS = 5;
const ways = {
  none: ['web', undefined, oauth.None()],
  client_secret_basic: [id, secret, oauth.ClientSecretBasic(secret)],
  client_secret_post: [id, secret, oauth.ClientSecretPost(secret)],
};

/** The code of the error that `promise` ends in; null where it does not. */
const refusal = (promise) => promise.then(() => null, (error) => error.error ?? String(error));

async function through(way, [client, secret, authentication]) {
  // What it knows of the server is what the server's metadata say (RFC 8414).
  const config = await oauth.discovery(new URL(url), client, secret, authentication, {
    algorithm: 'oauth2',
    execute: [oauth.allowInsecureRequests],
  });

  async function login() {
    const body = new URLSearchParams({ client_id: client, subject: 'alice', scope: 'read' });
    if (secret !== undefined) body.set('client_secret', secret);
    return (await fetch(`${url}/dev-login`, { method: 'POST', body })).json();
  }

  let number = 0;
  /** The status of a request with `token`. */
  const call = ({ access_token }) => oauth
    .fetchProtectedResource(config, access_token, new URL(`${url}/things/${(number += 1)}`), 'GET')
    .then((answer) => answer.status, (error) => error.status ?? String(error));
  const refresh = (token) => oauth.refreshTokenGrant(config, token.refresh_token);

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
  const introspect = (token) => oauth.tokenIntrospection(config, token).then(
    (it) => (it.active ? it.sub : it.active),
    (error) => error.error ?? String(error),
  );
  const introspectBoth = async () => [await introspect(other.access_token), await introspect(other.refresh_token)];
  const introspection = [await introspectBoth()];
  // Once more, for what is revoked is no error to revoke (RFC 7009, section 2.2).
  for (let time = 0; time < 2; time += 1) await oauth.tokenRevocation(config, other.refresh_token);
  introspection.push(await introspectBoth());
  const revocation = [before, await refusal(refresh(other))];
  const ended = [await call(newest), await call(other)];

  const own = await oauth.clientCredentialsGrant(config, { scope: 'read' }).then(
    async (it) => [await call(it), it.refresh_token === undefined],
    (error) => error.error,
  );
  return [way, { renewed: seen.size - 1, failed, reuse, revocation, introspection, ended, own }];
}

const told = await Promise.all(Object.entries(ways).map(([way, how]) => through(way, how)));
console.log(JSON.stringify(Object.fromEntries(told)));
