// What all that starts `oidc-provider` shares: it is strict, so refresh tokens rotate, and one that
// is seen again ends its grant.

import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

/** A provider whose only client is `client`; `more` is added to its settings. */
export function provide(issuer, client, { ttl, features, ...more }) {
  return new Provider(issuer, {
    clients: [{
      ...client,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example.com/callback'],
    }],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: false }, ...features },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    rotateRefreshToken: true,
    ttl: { Grant: 3600, RefreshToken: 3600, ...ttl },
    ...more,
  });
}

/** What an authorization code would have brought, with the provider's own models. */
export async function login(provider, { client_id }, accountId, scope, resource) {
  const client = await provider.Client.find(client_id);
  const grant = new provider.Grant({ accountId, clientId: client_id });
  grant.addOIDCScope(scope);
  if (resource) grant.addResourceScope(resource, 'read');
  const grantId = await grant.save();
  const token = { accountId, client, grantId, gty: 'authorization_code', scope, resource };
  return {
    access_token: await new provider.AccessToken(token).save(),
    refresh_token: await new provider.RefreshToken(token).save(),
  };
}
