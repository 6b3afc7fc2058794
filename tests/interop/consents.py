"""Refresh tokens before the stand-in's token endpoint: given, rotated and judged in this process,
so that a check sees each of them and can end a consent at any moment."""

import enum
import json
import secrets
import threading
import urllib.parse

import direct
import endpoint
from endpoint import TokenEndpoint

# The client that consents are given to. It is a public one.
CLIENT = "interop-client"


class Rotation(enum.Enum):
    """What becomes of a refresh token that is used: see `sandbox::Rotation`."""

    LENIENT = enum.auto()
    STRICT = enum.auto()


class _Consent:
    def __init__(self, user):
        self.user = user
        self.is_over = False
        self.issued = 0
        self.used = 0


class Consents(TokenEndpoint):
    """A token endpoint that takes refresh tokens, and where they are given back."""

    def __init__(self, provider, rotation, token_life_s):
        super().__init__(provider)
        self.answer = _refresh
        self.life_s = token_life_s
        self.refreshes = 0
        self.reuses = 0
        self.revocations = 0
        # Every refresh token that there ever was: nobody else may have seen one.
        self.given = {}
        self._rotation = rotation
        self._consents = []
        # The mail servers believe the stand-in, so every access token is its own; it lives longer
        # than what the relay is told.
        self.access_token = direct.access_token(provider)
        self._judging = threading.Lock()

    @property
    def revocation_url(self):
        """Where refresh tokens are given back."""
        return self.url.replace("/token", "/revoke")

    def consent(self, user):
        """`user` consents; gives the first refresh token."""
        with self._judging:
            self._consents.append(_Consent(user))
            return self._issue(self._consents[-1])

    def end_all(self):
        """Every consent ends, as when a password is changed."""
        with self._judging:
            for consent in self._consents:
                consent.is_over = True

    def redeem(self, token):
        """The next refresh token, or `None` when this one is not good."""
        with self._judging:
            consent, number = self.given.get(token, (None, 0))
            if consent is None or consent.is_over:
                return None
            strict = self._rotation is Rotation.STRICT
            if number < consent.used or (strict and number == consent.used):
                self.reuses += 1
                consent.is_over = strict
                return None
            consent.used = number
            self.refreshes += 1
            return self._issue(consent)

    def revoke(self, token):
        """Ends the consent of a refresh token."""
        with self._judging:
            self.revocations += 1
            consent, _ = self.given.get(token, (None, 0))
            if consent is not None:
                consent.is_over = True

    def _issue(self, consent):
        consent.issued += 1
        token = f"interop-refresh-{secrets.token_hex(24)}"
        self.given[token] = (consent, consent.issued)
        return token


def _refresh(handler, form):
    consents = handler.server.endpoint
    fields = dict(urllib.parse.parse_qsl(form.decode()))
    if handler.path == "/revoke":
        consents.revoke(fields.get("token"))
        return endpoint.send(handler, 200, "application/json", b"{}")
    if fields.get("client_id") != CLIENT:
        return _send_json(handler, 401, {"error": "invalid_client"})
    if fields.get("grant_type") != "refresh_token":
        return _send_json(handler, 400, {"error": "unsupported_grant_type"})
    successor = consents.redeem(fields.get("refresh_token"))
    if successor is None:
        return _send_json(handler, 400, {"error": "invalid_grant"})
    answer = {
        "token_type": "Bearer",
        "expires_in": consents.life_s,
        "access_token": consents.access_token,
        "refresh_token": successor,
    }
    return _send_json(handler, 200, answer)


def _send_json(handler, status, fields):
    endpoint.send(handler, status, "application/json", json.dumps(fields).encode())
