"""JSON Web Tokens as an application would make them: HS256, with the secret of both configurations."""

import base64
import hashlib
import hmac
import json
import time

SECRET = "for the interop tests only"


def token(sub="", expires_in=None, secret=SECRET, **claims):
    """A connection token; with `channel`, a subscription token."""
    claims = {"sub": sub, **claims}
    if expires_in is not None:
        claims["exp"] = int(time.time()) + expires_in
    signed = f'{_part({"alg": "HS256", "typ": "JWT"})}.{_part(claims)}'
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _part(value):
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
