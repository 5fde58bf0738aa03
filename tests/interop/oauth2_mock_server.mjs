// `oauth2-mock-server`: access tokens are JWTs, refresh tokens change with each answer, and any is
// honoured. It protects nothing of its own, so what is called is a route that verifies the JWT by
// the server's keys.
//
// `node oauth2_mock_server.mjs [SECONDS THAT AN ACCESS TOKEN LIVES]`

import { randomUUID } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { OAuth2Server } from 'oauth2-mock-server';
import { json, serve } from './front.mjs';

const client = { client_id: 'perennial-demo', client_secret: 'any will do' };

await serve(async (issuer, lifetime) => {
  const { issuer: signer, service } = new OAuth2Server();
  signer.url = issuer;
  await signer.keys.generate('RS256');
  const keys = createLocalJWKSet({ keys: signer.keys.toJSON() });
  service.on('beforeTokenSigning', ({ payload }, request) => {
    // Not counted from `iat`, which lacks a fraction: the token would end before the client is told.
    payload.exp = Date.now() / 1000 + lifetime(request.grantName);
    // Without it, what is minted within one second is one and the same token.
    payload.jti = randomUUID();
  });
  service.on('beforeResponse', ({ body }, request) => {
    body.expires_in = lifetime(request.grantName);
  });

  async function api(request, response) {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    try {
      const { payload } = await jwtVerify(token ?? '', keys, { issuer });
      json(response, 200, { sub: payload.sub });
    } catch {
      response.setHeader('www-authenticate', 'Bearer error="invalid_token"');
      json(response, 401, { error: 'invalid_token' });
    }
  }

  function handler(request, response) {
    if (request.url.startsWith('/api')) api(request, response);
    else service.requestHandler(request, response);
  }

  /** Logs in with a password, over the wire. */
  async function seed(name) {
    const body = new URLSearchParams({ grant_type: 'password', username: name, password: '-' });
    return (await fetch(`${issuer}/${name}/token`, { method: 'POST', body })).json();
  }

  return { client, handler, seed };
});
