"""`requests_oauth2client` as a client of our server: it renews by itself whenever a token is nearly over. Ends with a line of JSON, of which each part is
about one way to say who one is; `openid_client.mjs` prints the same, but for "ended" and "lost": what comes of
a login, one of whose responses is lost on its way.

`python3 requests_oauth2_client.py URL CLIENT SECRET`; the client without a secret is called "web".
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from requests_oauth2client import (
    BearerToken,
    ClientSecretBasic,
    EndpointError,
    OAuth2AccessTokenAuth,
    OAuth2Client,
    OAuth2ClientCredentialsAuth,
    oauth2_discovery_document_url,
)

url, client, secret = sys.argv[1:]
RENEWALS = 5
WAYS = {
    "none": dict(client_id="web"),
    "client_secret_basic": dict(auth=ClientSecretBasic(client, secret)),
    # What it does by default with an id and a secret.
    "client_secret_post": dict(client_id=client, client_secret=secret),
}


class Session(requests.Session):
    """Loses one response of the token endpoint, if it is told to."""

    loses = False

    def request(self, method, to, **more):
        answer = super().request(method, to, **more)
        if self.loses and to == f"{url}/token":
            self.loses = False
            raise requests.ConnectionError("the response was lost")
        return answer


def refusal(ask):
    """The code of the error that `ask` ends in; None where it does not."""
    try:
        ask()
        return None
    except EndpointError as error:
        return error.error


def through(way):
    session = Session()
    # The server is on this machine, so it need not be asked by https: `testing`.
    oauth = OAuth2Client.from_discovery_endpoint(
        oauth2_discovery_document_url(url), issuer=url, testing=True, session=session, **WAYS[way]
    )

    def login():
        form = {"client_id": oauth.client_id, "subject": "alice", "scope": "read"}
        if way != "none":
            form["client_secret"] = secret
        return BearerToken(**requests.post(f"{url}/dev-login", data=form).json())

    def renewing():
        """A login that is renewed before each request: the leeway is longer than its tokens live."""
        return OAuth2AccessTokenAuth(oauth, login(), leeway=7200)

    number = 0

    def call(auth):
        nonlocal number
        number += 1
        return requests.get(f"{url}/things/{number}", auth=auth).status_code

    renewed = renewing()
    seen = [renewed.token.refresh_token]
    failed = 0
    for _ in range(RENEWALS):
        failed += call(renewed) != 200
        seen.append(renewed.token.refresh_token)
    reuse = [refusal(lambda: oauth.refresh_token(token)) for token in (seen[-2], seen[-1])]

    # A token by itself is not renewed.
    other = login()
    before = call(other)

    def introspect(kind):
        """What it is told of the token: whether it works, and where it does whose it is."""
        try:
            told = oauth.introspect_token(other, token_type_hint=kind)
            return told["sub"] if told["active"] else False
        except EndpointError as error:
            return error.error

    def introspect_both():
        return [introspect("access_token"), introspect("refresh_token")]

    introspection = [introspect_both()]
    # Once more, for what is revoked is no error to revoke (RFC 7009, section 2.2).
    for _ in range(2):
        assert oauth.revoke_refresh_token(other)
    introspection.append(introspect_both())
    revocation = [before, refusal(lambda: oauth.refresh_token(other))]

    own = OAuth2ClientCredentialsAuth(oauth, scope="read")
    try:
        own = [call(own), own.token.refresh_token is None]
    except EndpointError as error:
        own = error.error

    unlucky = renewing()
    predecessor = unlucky.token.refresh_token
    session.loses = True
    try:
        call(unlucky)
        raise AssertionError("a response was lost, and nobody noticed")
    except requests.ConnectionError:
        assert unlucky.token.refresh_token == predecessor
    try:
        # It presents the predecessor, then what it was given for that.
        lost = [call(unlucky) for _ in range(RENEWALS)]
        if unlucky.token.refresh_token is None:
            lost = "no refresh token"
    except EndpointError as error:
        lost = error.error

    return way, dict(
        renewed=len(set(seen)) - 1,
        failed=failed,
        reuse=reuse,
        revocation=revocation,
        introspection=introspection,
        own=own,
        lost=lost,
    )


with ThreadPoolExecutor() as ways:
    print(json.dumps(dict(ways.map(through, WAYS))))
