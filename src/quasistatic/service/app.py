"""The ASGI application of a service."""

__all__ = ["Service", "create_app"]

import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..opened import open as open_run
from ..opened.model import OpenedModel
from .batching import Batcher, Busy
from .limits import Limits
from .metrics import Metrics
from .subjects import ARROW, VERBS, Subject, Wrong

T = TypeVar("T")

SMALL = 2**16
"""Bytes of a body that is read by the event loop itself."""


def create_app(
    model: str | Path | OpenedModel, limits: Limits | None = None, device: str | None = None
) -> Starlette:
    """The application that answers for a run.

    Routes: `POST /score`, `/outliers`, `/impute`, `/complete` and `/sample`; `GET /` describes the
    model, `/health` says whether it answers, `/metrics` is for Prometheus.

    Args:
        model: a run folder, the name of a pretrained model, or an opened run.
        limits: how much is taken at once.
        device: where the model computes; the CPU by default.

    Raises:
        FileNotFoundError: if there is no such run.
    """
    opened = model if isinstance(model, OpenedModel) else open_run(model, device)
    service = Service(Subject.of(opened, device), limits or Limits())
    routes = [
        Route("/", service.about),
        Route("/health", service.health),
        Route("/metrics", service.measured),
        Route("/{verb}", service.verb, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=service.lifespan)
    app.state.service = service
    return app


class Service:
    """The handlers of the requests."""

    def __init__(self, subject: Subject, limits: Limits) -> None:
        self.subject, self.limits = subject, limits
        self.metrics = Metrics(lambda: self.batcher.queued if self.running else 0)
        self.running = self.stopping = False
        self.active = 0
        """Requests that have arrived and are not answered yet."""

    def stop(self) -> None:
        """Says from now on that the service is about to end. Requests are still answered."""
        self.stopping = True

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.batcher = Batcher(self.subject.answer, self.limits, self.metrics.batch)
        self.running = True
        try:
            yield
        finally:
            self.running = False
            await self.batcher.close()

    async def about(self, request: Request) -> Response:
        model = self.subject.model
        facts = {"model": repr(model), **self.subject.about()}
        facts["limits"] = {"rows": self.limits.rows, "seconds": self.limits.seconds}
        return _json(facts)

    async def health(self, request: Request) -> Response:
        if self.stopping:
            return _json({"status": "stopping"}, 503)
        return _json({"status": "ok"})

    async def measured(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=self.metrics.content_type)

    async def verb(self, request: Request) -> Response:
        """Answers a verb, and counts the request."""
        name, begun = request.path_params["verb"], time.monotonic()
        self.active += 1
        try:
            response = await self._answer(name, request)
        finally:
            self.active -= 1
        if self.stopping:  # the client asks another service next
            response.headers["connection"] = "close"
        known = name if name in VERBS else "other"
        self.metrics.requests.labels(known, str(response.status_code)).inc()
        self.metrics.seconds.labels(known).observe(time.monotonic() - begun)
        return response

    async def _answer(self, name: str, request: Request) -> Response:
        if name not in VERBS:
            return _error(f"there is no verb {name!r}: {', '.join(VERBS)}", 404)
        try:
            data = await _body(request, self.limits.body)
            if data is None:
                return _error(f"a request has {self.limits.body:,} bytes at most", 413)
            arrow = _is_arrow(request, "content-type")
            small = len(data) <= SMALL
            key, value, rows = await _called(small, self._read, name, request, data, arrow)
            if rows > self.limits.rows:
                return _error(f"a request has {self.limits.rows:,} rows at most, got {rows:,}", 413)
            found = await self.batcher.ask(key, value, rows)
        except Busy as error:
            return _error(str(error), 429, {"Retry-After": str(error.seconds)})
        except TimeoutError:
            return _error(f"the answer took more than {self.limits.seconds:g} s", 504)
        except (Wrong, ValueError, TypeError) as error:
            return _error(str(error), 400)
        except Exception as error:  # a fault of the service, which continues
            return _error(f"the request could not be answered: {error!r}", 500)
        accepted = request.headers.get("accept", "")
        as_arrow = ARROW in accepted or (arrow and "json" not in accepted)
        return await _called(small, self._written, found, as_arrow)

    def _read(self, name: str, request: Request, data: bytes, arrow: bool) -> tuple[Any, Any, int]:
        options = {key: _literal(value) for key, value in request.query_params.items()}
        if arrow:
            body: Any = _arrow_table(data)
        else:
            body = _parsed(data)
            options |= body.get("options", {})
        value, rows = self.subject.read(name, body)
        return self.subject.ready(name, options), value, rows

    def _written(self, found: Any, arrow: bool) -> Response:
        made = self.subject.written(found, arrow)
        if not arrow:
            return _json(made)
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, made.schema) as writer:
            writer.write_table(made)
        return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


async def _called(small: bool, function: Callable[..., T], *arguments: Any) -> T:
    """The result of a function: of little work at once, else in a thread, so that the event loop
    stays free. Many threads with little work each would wait for one another all the time."""
    return function(*arguments) if small else await run_in_threadpool(function, *arguments)


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request; None if it is too long."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _is_arrow(request: Request, header: str) -> bool:
    return ARROW in request.headers.get(header, "")


def _arrow_table(data: bytes) -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise Wrong(
            "Arrow needs pyarrow on the server: pip install 'quasistatic[service]'"
        ) from None
    try:
        return pa.ipc.open_stream(data).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise Wrong(f"the body is no Arrow stream: {error}") from None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise Wrong(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("options", {}), dict):
        raise Wrong('the body is a JSON object, as {"rows": [...], "options": {}}')
    return body


def _literal(text: str) -> Any:
    """An option of the query: a JSON value, or text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(_finite(value), default=str, allow_nan=False)
    return Response(text, status, headers, "application/json")


def _finite(value: Any) -> Any:
    """JSON has no infinity: it is the text "-Infinity", and NaN is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _error(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return _json({"error": text}, status, headers)
