"""Authlib's `OAuth2Session` as a client of our server: it renews by itself whenever a token is over.
Ends with a line of JSON, of which each part is about one way to say who one is; `openid_client.mjs`
prints the same.

`python3 authlib_client.py URL CLIENT SECRET`; the client without a secret is called "web".
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url

# The server is on this machine, so it need not be asked by https.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
url, client, secret = sys.argv[1:]
METADATA = requests.get(get_well_known_url(url, external=True)).json()
TOKEN = METADATA["token_endpoint"]
RENEWALS = 5
WAYS = {
    "none": ("web", None),
    "client_secret_basic": (client, secret),
    "client_secret_post": (client, secret),
}


def refusal(ask):
    """The code of the error that `ask` ends in; None where it does not."""
    try:
        ask()
        return None
    except OAuthError as error:
        return error.error


def login(client, secret):
    form = {"client_id": client, "client_secret": secret, "subject": "alice", "scope": "read"}
    return requests.post(f"{url}/dev-login", data=form).json()


def through(way):
    client, secret = WAYS[way]

    def session(token=None, **more):
        return OAuth2Session(
            client,
            secret,
            scope="read",
            token=token,
            token_endpoint=TOKEN,
            token_endpoint_auth_method=way,
            revocation_endpoint_auth_method=way,
            # A minute by default: more than these tokens live.
            leeway=0,
            **more,
        )

    number = 0

    def call(through):
        nonlocal number
        number += 1
        return through.get(f"{url}/things/{number}").status_code

    def expire(through):
        time.sleep(max(0, through.token["expires_at"] - time.time()) + 0.05)

    def refresh(refresh_token):
        return refusal(lambda: session().refresh_token(TOKEN, refresh_token=refresh_token))

    def renewing():
        """A session, and the refresh tokens that there were, of which it tells."""
        first = login(client, secret)
        seen = [first["refresh_token"]]

        def update(token, refresh_token):
            assert refresh_token == seen[-1], "it was not renewed with the newest"
            seen.append(token["refresh_token"])

        return session(first, update_token=update), seen

    renewed, seen = renewing()
    failed = 0
    for _ in range(RENEWALS):
        expire(renewed)
        failed += call(renewed) != 200
    renewals = len(set(seen)) - 1
    reuse = [refresh(seen[-2]), refresh(seen[-1])]

    other, seen = renewing()
    before = call(other)

    def introspect(kind):
        """What it is told of the token: whether it works, and where it does whose it is."""
        answer = session().introspect_token(
            METADATA["introspection_endpoint"], token=other.token[kind], token_type_hint=kind
        )
        told = answer.json()
        if answer.status_code != 200:
            return told["error"]
        return told["sub"] if told["active"] else False

    def introspect_both():
        return [introspect("access_token"), introspect("refresh_token")]

    introspection = [introspect_both()]
    # Once more, for what is revoked is no error to revoke (RFC 7009, section 2.2).
    for _ in range(2):
        revoked = other.revoke_token(
            METADATA["revocation_endpoint"], token=seen[-1], token_type_hint="refresh_token"
        )
        assert revoked.status_code == 200, revoked.text
    introspection.append(introspect_both())
    revocation = [before, refresh(seen[-1])]

    updates = []
    own = session(grant_type="client_credentials", update_token=lambda *_, **old: updates.append(old))
    try:
        first = own.fetch_token(TOKEN, grant_type="client_credentials")
        expire(own)
        # Without a refresh token it asks again as it did first.
        told = [call(own), "refresh_token" not in own.token]
        assert updates == [{"access_token": first["access_token"]}], updates
    except OAuthError as error:
        told = error.error
    return way, dict(
        renewed=renewals,
        failed=failed,
        reuse=reuse,
        revocation=revocation,
        introspection=introspection,
        own=told,
    )


with ThreadPoolExecutor() as ways:
    print(json.dumps(dict(ways.map(through, WAYS))))
