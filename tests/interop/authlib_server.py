"""Authlib in a little Flask application: refresh tokens rotate, and one that is seen again revokes
all of its login, the access tokens included. What is called is protected by Authlib's own
validator of bearer tokens.

`python3 authlib_server.py [SECONDS THAT AN ACCESS TOKEN LIVES]`

Each grant has a name, and its own paths, as in `front.mjs`.
"""

import json
import os
import secrets
import signal
import stat
import sys
import threading
import time
from collections import Counter, defaultdict

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.models import ClientMixin, TokenMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from flask import Flask, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

lock = threading.RLock()
tokens = []
lifetimes = {}


class Client(ClientMixin):
    client_id = "perennial-demo"
    client_secret = secrets.token_urlsafe(32)

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, self.client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, grant_type):
        return grant_type in ("password", "refresh_token", "client_credentials")


class Token(TokenMixin):
    def __init__(self, answer, user):
        self.access_token = answer["access_token"]
        self.refresh_token = answer.get("refresh_token")
        self.expires_at = time.time() + answer["expires_in"]
        self.scope = answer.get("scope", "")
        self.user = user
        self.spent = False
        self.revoked = False

    def check_client(self, client):
        return client is the_client

    def get_scope(self):
        return self.scope

    def is_expired(self):
        return time.time() >= self.expires_at

    def is_revoked(self):
        return self.revoked


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    def authenticate_user(self, username, password):
        return username


class Refresh(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def authenticate_refresh_token(self, refresh_token):
        with lock:
            found = next((it for it in tokens if it.refresh_token == refresh_token), None)
            if found and found.spent:
                for token in tokens:
                    token.revoked |= token.user == found.user
            return found if found and not found.spent and not found.revoked else None

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        refresh_token.spent = True


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string):
        with lock:
            return next((it for it in tokens if it.access_token == token_string), None)


def save_token(answer, asked):
    with lock:
        tokens.append(Token(answer, asked.user))


def lifetime(client, grant_type):
    return lifetimes[request.environ["grant.name"]]


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = f"{__name__}.lifetime"
the_client = Client()
server = AuthorizationServer(
    app,
    query_client=lambda client_id: the_client if client_id == Client.client_id else None,
    save_token=save_token,
)
for grant in (Password, Refresh, grants.ClientCredentialsGrant):
    server.register_grant(grant)
require_oauth = ResourceProtector()
require_oauth.register_token_validator(Validator())


@app.post("/token")
def token():
    return server.create_token_response()


@app.get("/api")
@require_oauth()
def api():
    return jsonify(path=request.path)


class Front:
    """What stands before the application: it seeds grants, and counts, as `front.mjs` does."""

    def __init__(self, application):
        self.application = application
        self.counters = defaultdict(Counter)
        self.lapsed = defaultdict(set)

    def __call__(self, environ, start_response):
        name, _, route = environ["PATH_INFO"].strip("/").partition("/")
        if name == "seed":
            asked = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
            return self.answer(start_response, self.announcement(asked["name"], int(asked["ttl"])))
        if route == "stats":
            return self.answer(start_response, self.tally(name))
        environ["PATH_INFO"] = f"/{route}"
        environ["grant.name"] = name

        def started(status, headers, exc_info=None):
            self.count(name, route, int(status.split()[0]), environ.get("HTTP_AUTHORIZATION"))
            return start_response(status, headers, exc_info)

        return self.application(environ, started)

    def answer(self, start_response, body):
        start_response("200 OK", [("content-type", "application/json")])
        return [json.dumps(body).encode()]

    def count(self, name, route, status, authorization):
        with lock:
            counters = self.counters[name]
            if route == "token":
                counters["token_requests"] += 1
                counters["token_refused"] += status != 200
            elif route == "api" and status == 200:
                counters["api_ok"] += 1
            elif route == "api" and status == 401:
                counters["api_401"] += 1
                self.lapsed[name].add(authorization)
            else:
                counters["other"] += 1

    def tally(self, name):
        with lock:
            keys = ("token_requests", "token_refused", "api_ok", "api_401", "other")
            counted = {key: self.counters[name][key] for key in keys}
            return {**counted, "lapsed": len(self.lapsed[name])}

    def announcement(self, name, ttl):
        lifetimes[name] = ttl
        asked = {"grant_type": "password", "username": name, "password": "-"}
        login = app.test_client().post(
            "/token",
            data=asked,
            auth=(Client.client_id, Client.client_secret),
            environ_base={"grant.name": name},
        ).get_json()
        return {
            "token_endpoint": f"{origin}/{name}/token",
            "api_url": f"{origin}/{name}/api",
            "stats_url": f"{origin}/{name}/stats",
            "seed_url": f"{origin}/seed",
            "client_id": Client.client_id,
            "client_secret": Client.client_secret,
            "access_token": login["access_token"],
            "refresh_token": login["refresh_token"],
        }


class Silent(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


def end(*_):
    os._exit(0)


if __name__ == "__main__":
    # The server is for this machine alone, so it need not ask for https.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    front = Front(app.wsgi_app)
    listening = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Silent)
    origin = f"http://127.0.0.1:{listening.server_port}"
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(json.dumps(front.announcement("demo", int(sys.argv[1]) if sys.argv[1:] else 2)), flush=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    # Until whoever holds the other end of standard input is gone, or for ever.
    kind = os.fstat(0).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        sys.stdin.buffer.read()
    else:
        signal.pause()
