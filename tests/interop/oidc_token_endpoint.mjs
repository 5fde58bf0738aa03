// `oidc-provider` to be measured: with nothing before it, and with as little to do for a refresh as
// it can be configured to. Its client is public, as ours is that it is measured beside; without the
// scope `openid` it signs no ID token; access tokens are opaque, or JWTs signed with EdDSA. That leaves it to read
// the form, find and consume one token, and make and keep two.
//
// `node oidc_token_endpoint.mjs LOGINS [jwt]`, which prints a refresh token for each login

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { endWhenTold } from './front.mjs';
import { login, provide } from './oidc.mjs';

const resource = process.argv[3] === 'jwt' ? 'https://api.example.com' : undefined;
const client = {
  client_id: 'web', token_endpoint_auth_method: 'none', response_types: ['code'],
  ...(resource && { id_token_signed_response_alg: 'EdDSA' }),
};

// Its own store in memory is for a quick start: it goes through all tokens of a grant whenever one
// is added, so that each refresh would be slower than the one before. This one does as little as it
// may, and keeps few tokens that were used, for which there would be ever more garbage to look through.
class Families {
  static #KEPT = 10_000;

  #kept = new Map();

  constructor(model) { this.model = model; }

  async upsert(id, payload) {
    this.#kept.set(id, payload);
    if (this.model !== 'Grant' && this.#kept.size > Families.#KEPT) this.#kept.delete(this.#kept.keys().next().value);
  }

  async find(id) { return this.#kept.get(id); }

  async consume(id) { this.#kept.get(id).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { this.#kept.delete(id); }

  // Nobody presents a token twice while it is measured.
  async revokeByGrantId() { throw new Error('a token was used twice'); }
}

const server = createServer((request, response) => handler(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = provide(issuer, client, { adapter: Families, routes: { token: '/token' }, ttl: { AccessToken: 3600 }, ...signed() });
const handler = provider.callback();
const logins = Array.from({ length: Number(process.argv[2]) }, (_, number) =>
  login(provider, client, `user-${number}`, resource ? 'offline_access read' : 'offline_access', resource));
const refresh_tokens = (await Promise.all(logins)).map((it) => it.refresh_token);
console.log(JSON.stringify({ url: issuer, refresh_tokens }));
endWhenTold(() => process.exit(0));

/** The settings by which access tokens are JWTs for one resource server. */
function signed() {
  if (!resource) return {};
  const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const server = {
    scope: 'read', audience: 'things', accessTokenTTL: 3600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'EdDSA' } },
  };
  return {
    jwks: { keys: [{ ...key, use: 'sig', alg: 'EdDSA', kid: 'key' }] },
    features: {
      resourceIndicators: {
        enabled: true, defaultResource: () => resource, getResourceServerInfo: () => server, useGrantedResource: () => true,
      },
    },
  };
}
