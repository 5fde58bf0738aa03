"""Authlib's validator of the metadata of authorization servers (RFC 8414). Ends with a line of JSON: for each
of the arguments, which are metadata as JSON, null if they are valid, and otherwise what is wrong.

`python3 authlib_metadata.py METADATA…`
"""

import json
import sys

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata


def wrong(metadata):
    try:
        AuthorizationServerMetadata(json.loads(metadata)).validate()
    except ValueError as error:
        return str(error)


print(json.dumps([wrong(metadata) for metadata in sys.argv[1:]]))
