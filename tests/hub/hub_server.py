"""A small server of the hub's protocol, as far as huggingface_hub uses it to fetch and upload."""

import base64
import contextlib
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Files = dict[str, bytes]


class Hub:
    """Repositories by name: commits, branches, and faults to be served.

    Attributes:
        commits: files of each commit, by the repository and the commit.
        branches: the commit of each branch, by the repository and the branch.
        damaged: paths whose contents come with one bit changed.
        gated: repositories that ask for a consent.
        requests: what was asked for, in order.
        writable: whether uploads are let in.
    """

    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], Files] = {}
        self.branches: dict[tuple[str, str], str] = {}
        self.damaged: set[str] = set()
        self.gated: set[str] = set()
        self.requests: list[str] = []
        self.cards: dict[str, str] = {}
        self.writable = True
        self.url = ""

    def commit(self, name: str, files: Files, branch: str = "main") -> str:
        """Adds files to a branch, and returns the new commit."""
        before = self.commits.get((name, self.branches.get((name, branch), "")), {})
        whole = before | files
        sha = hashlib.sha1(repr(sorted(whole.items())).encode()).hexdigest()
        self.commits[name, sha] = whole
        self.branches[name, branch] = sha
        return sha

    def resolved(self, name: str, revision: str) -> str | None:
        """The commit of a branch or of itself; None if there is none."""
        if (name, revision) in self.commits:
            return revision
        return self.branches.get((name, revision))


def etag(path: str, data: bytes) -> str:
    """The digest under which the hub keeps a file: SHA-256 for weights, that of git for others."""
    if path.endswith(".safetensors"):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _json(self, value: object, status: int = 200, **headers: str) -> None:
            body = json.dumps(value).encode()
            self._answer(body, status, Content_Type="application/json", **headers)

        def _missing(self, code: str, status: int = 404) -> None:
            self._json({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

        def _parts(self) -> list[str]:
            path = urllib.parse.urlparse(self.path).path
            hub.requests.append(f"{self.command} {path}")
            return [urllib.parse.unquote(part) for part in path.strip("/").split("/")]

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                found = b""
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = self._parts()
            if parts[:2] == ["api", "models"]:
                name, rest = "/".join(parts[2:4]), parts[4:]
                self._about(name, rest)
            elif parts[2:3] == ["resolve"]:
                self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self._missing("RepoNotFound")

        def _about(self, name: str, rest: list[str]) -> None:
            if name in hub.gated:
                self._missing("GatedRepo", 403)
                return
            if not any(repository == name for repository, _ in hub.branches):
                self._missing("RepoNotFound")
                return
            revision = rest[1] if len(rest) > 1 else "main"
            sha = hub.resolved(name, revision)
            if sha is None:
                self._missing("RevisionNotFound")
                return
            files = hub.commits[name, sha]
            if rest[:1] == ["tree"]:
                self._json([_entry(path, data) for path, data in sorted(files.items())])
            else:
                siblings = [{"rfilename": path} for path in sorted(files)]
                self._json({"id": name, "sha": sha, "siblings": siblings, "tags": []})

        def _file(self, name: str, revision: str, path: str) -> None:
            sha = hub.resolved(name, revision)
            data = hub.commits.get((name, sha or ""), {}).get(path)
            if data is None:
                self._missing("EntryNotFound")
                return
            tag = f'"{etag(path, data)}"'
            if path in hub.damaged:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self._answer(data, ETag=tag, X_Repo_Commit=sha or "")

        def do_POST(self) -> None:
            parts, body = self._parts(), self._body()
            if not hub.writable:
                self._json({"error": "no"}, 403)
            elif parts == ["api", "validate-yaml"]:
                self._json({"errors": [], "warnings": []})
            elif parts == ["api", "repos", "create"]:
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                name = name if "/" in name else f"user/{name}"
                hub.branches.setdefault((name, "main"), hub.commit(name, {}))
                self._json({"url": f"{hub.url}/{name}", "id": name})
            elif parts[4:5] == ["branch"]:
                name = "/".join(parts[2:4])
                hub.branches.setdefault((name, parts[5]), hub.branches[name, "main"])
                self._json({})
            elif parts[4:5] == ["preupload"]:
                files = json.loads(body)["files"]
                each = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
                self._json({"files": [{"path": file["path"]} | each for file in files]})
            elif parts[4:5] == ["commit"]:
                name, files = "/".join(parts[2:4]), {}
                for line in body.splitlines():
                    item = json.loads(line)
                    if item["key"] == "file":
                        value = item["value"]
                        files[value["path"]] = base64.b64decode(value["content"])
                sha = hub.commit(name, files, parts[5])
                url = f"{hub.url}/{name}/commit/{sha}"
                self._json({"success": True, "commitUrl": url, "commitOid": sha})
            else:
                self._missing("EntryNotFound")

    return Handler


def _entry(path: str, data: bytes) -> dict[str, object]:
    """A file as the hub lists it."""
    found: dict[str, object] = {"type": "file", "path": path, "size": len(data)}
    found["oid"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if path.endswith(".safetensors"):
        found["lfs"] = {"oid": etag(path, data), "size": len(data), "pointerSize": 130}
    return found


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at an address of this machine for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
