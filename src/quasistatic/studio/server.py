"""The server of the studio: the page, its files, and a streamed answer for each view."""

__all__ = ["LIMIT", "create_app"]

from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .asked import Asked
from .gate import LIMIT, Gate, TooLarge
from .jobs import Event, Job, Pool, message_of
from .library import Library
from .streaming import Streamed, dumps

STATIC = Path(__file__).parent / "static"
FOLLOWING, FOLLOWERS = {"train"}, 32
"""Views that wait for a run most of the time, and how many of them may. They have threads of their
own, so that the others find one."""

TOKENS = Path(__file__).parent.parent / "reporting" / "templates" / "tokens.css"


def create_app(library: Library, token: str, pool: Pool | None = None) -> Gate:
    """The application of a studio.

    Args:
        library: the runs that it shows.
        token: the first part of every path. Requests without it are refused.
        pool: the threads that work; by default a new one.
    """
    site = _Site(library, pool or Pool(), Pool(FOLLOWERS, 0))
    inner = [
        Route("/", site.page),
        Route("/api/runs", site.runs),
        Route("/api/run", site.run),
        Route("/api/{view}", site.view, methods=["POST"]),
        Route("/static/tokens.css", site.tokens),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    routes = [Route(f"/{token}", _with_slash), Mount(f"/{token}", routes=inner)]
    return Gate(Starlette(routes=routes), token)


class _Site:
    """The handlers of the requests.

    Args:
        library: the runs.
        pool: the threads that work.
        followers: the threads that wait for runs.
    """

    def __init__(self, library: Library, pool: Pool, followers: Pool) -> None:
        self.library, self.pool, self.followers = library, pool, followers

    async def page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def tokens(self, request: Request) -> Response:
        """The colours and the type, which the pages of runs have too."""
        return FileResponse(TOKENS)

    async def runs(self, request: Request) -> Response:
        return _json({"runs": self.library.names})

    async def run(self, request: Request) -> Response:
        """What a page has to know about a run."""
        name = request.query_params.get("name", "")
        try:
            return _json(await run_in_threadpool(self.library.facts, name))
        except Exception as error:
            return _json({"error": message_of(error)}, 400)

    async def view(self, request: Request) -> Response | Streamed:
        """Starts the answer of a view."""
        name = request.path_params["view"]
        try:
            body = await request.body()
        except TooLarge as error:
            return _json({"error": str(error)}, 413)
        try:
            asked = await run_in_threadpool(Asked.of, body)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        pool = self.followers if name in FOLLOWING else self.pool
        return Streamed(pool, partial(self._answer, name, asked))

    def _answer(self, view: str, asked: Asked, job: Job) -> Event:
        subject = self.library.open(asked.text("run"))
        return subject.view(view)(subject, asked, job)


async def _with_slash(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path}/")


def _json(value: object, status: int = 200) -> Response:
    return Response(dumps(value), status, media_type="application/json")
