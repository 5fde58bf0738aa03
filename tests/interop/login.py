"""Reads the line that a server prints, logs somebody with the name given in, and prints what
`silent_client` is to be told, each argument ended by a zero byte.

`python3 login.py NAME SECONDS`
"""

import json
import sys
import urllib.request

name, seconds = sys.argv[1:]
told = json.load(sys.stdin)
url = f"{told['seed_url']}?name={name}&ttl={seconds}"
with urllib.request.urlopen(url, data=b"") as answer:
    # Our own server answers with the tokens alone.
    login = told | json.load(answer)
keys = "token_endpoint api_url client_id client_secret access_token refresh_token".split()
for key in keys:
    if login.get(key) is not None:
        sys.stdout.write(f"--{key.replace('_', '-')}={login[key]}\0")
