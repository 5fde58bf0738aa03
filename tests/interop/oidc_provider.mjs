// `oidc-provider`, strict: refresh tokens rotate, and one that is seen again ends its grant, the
// access tokens included. What is called is its own userinfo.
//
// `node oidc_provider.mjs [SECONDS THAT AN ACCESS TOKEN LIVES]`

import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';
import { serve } from './front.mjs';

const scope = 'openid offline_access';
const client = { client_id: 'perennial-demo', client_secret: randomBytes(32).toString('hex') };

await serve(async (issuer, lifetime) => {
  const provider = new Provider(issuer, {
    clients: [{
      ...client,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example.com/callback'],
    }],
    // Fifteen seconds by default, for which expired tokens still work.
    clockTolerance: 0,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    rotateRefreshToken: true,
    routes: { token: '/token', userinfo: '/api' },
    ttl: {
      AccessToken: (_, token) => lifetime(token.accountId),
      Grant: 3600,
      IdToken: 3600,
      RefreshToken: 3600,
    },
  });

  /** What an authorization code would have brought, with the server's own models. */
  async function seed(accountId) {
    const known = await provider.Client.find(client.client_id);
    const grant = new provider.Grant({ accountId, clientId: client.client_id });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const token = { accountId, client: known, grantId, gty: 'authorization_code', scope };
    return {
      access_token: await new provider.AccessToken(token).save(),
      refresh_token: await new provider.RefreshToken(token).save(),
    };
  }

  return { client, handler: provider.callback(), seed };
});
