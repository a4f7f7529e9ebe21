"""What stands before the studio: it lets in only requests of this machine that know the token, and
only bodies of a bounded size."""

__all__ = ["LIMIT", "Gate", "TooLarge"]

import secrets

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIMIT = 48 * 2**20
"""The most bytes of a request."""

HOSTS = {"127.0.0.1", "localhost"}
"""Names by which this machine reaches itself. Another name in a request is a page of a stranger
that points to this machine."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class TooLarge(Exception):
    """The body of a request is too large."""


class Gate:
    """Refuses a request with a wrong token, from another site, or with a body that is too large.

    Args:
        app: the application behind.
        token: the first part of the path.
        limit: the most bytes of a body.
    """

    def __init__(self, app: ASGIApp, token: str, limit: int = LIMIT) -> None:
        self.app, self.token, self.limit = app, token, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, why = self._refusal(scope)
        if status:
            await PlainTextResponse(why, status, {"connection": "close"})(scope, receive, send)
            return
        await self.app(scope, self._bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """The status and the reason to refuse a request; 0 to let it in."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return 403, "this studio answers on 127.0.0.1 only"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "another site may not ask this studio"
        word = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not secrets.compare_digest(word.encode(), self.token.encode()):
            return 403, "the address lacks its token: copy all of it from the terminal"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.limit:
            return 413, too_large(self.limit)
        return 0, ""

    def _bounded(self, receive: Receive) -> Receive:
        """Reads a body whose length was not declared, up to the limit."""
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit:
                raise TooLarge(too_large(self.limit))
            return message

        return bounded


def too_large(limit: int) -> str:
    return f"a request holds at most {limit // 2**20} MiB: give fewer or smaller files"


def _with_headers(send: Send) -> Send:
    """Adds the headers that keep the page on this machine."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            kept = [each for each in message.get("headers", []) if each[0].decode() not in HEADERS]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return sending
