// `oidc-provider`, strict: refresh tokens rotate, and one that is seen again ends its grant, the
// access tokens included. What is called is its own userinfo.
//
// `node oidc_provider.mjs [SECONDS THAT AN ACCESS TOKEN LIVES]`

import { randomBytes } from 'node:crypto';
import { serve } from './front.mjs';
import { login, provide } from './oidc.mjs';

const client = { client_id: 'perennial-demo', client_secret: randomBytes(32).toString('hex') };

await serve(async (issuer, lifetime) => {
  const provider = provide(issuer, client, {
    // Fifteen seconds by default, for which expired tokens still work.
    clockTolerance: 0,
    routes: { token: '/token', userinfo: '/api' },
    ttl: { AccessToken: (_, token) => lifetime(token.accountId), IdToken: 3600 },
  });
  const seed = (name) => login(provider, client, name, 'openid offline_access');
  return { client, handler: provider.callback(), seed };
});
