"""A model hub on this machine, for tests: it speaks as much of the hub's protocol as huggingface_hub asks for.

`Hub(root)` serves `root/<owner>/<name>/…` as models, `root/datasets/<owner>/<name>/…` as data sets and `root/files/…`
as plain files with resume; a folder of these is answered with its `index.html`, which will do for a package index. A
repository has one commit, named by its content, on the branch `main`; files of at least `large` bytes are "LFS": they
are answered with a redirect to another origin. What goes wrong is arranged with `fail` and `cut`; what was asked is in
`requests`.

    with Hub(tmp_path) as hub:
        os.environ["HF_ENDPOINT"] = hub.endpoint
"""

import hashlib
import json
import mimetypes
import re
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(tree|revision)/([^/]+))?/?")
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """The server, in a thread of its own; a context manager."""

    def __init__(self, root: Path, large: int = 1000) -> None:
        self.root, self.large = Path(root), large
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.gated: dict[str, set[str]] = {}  # repository -> the tokens that may read it
        self._faults: list[dict] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        # The same server under another name is another origin, as a content network is: the token must not go there.
        self.elsewhere = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path: str, status: int, times: int = 1, **headers: str) -> None:
        """Answer the next `times` requests whose path contains `path` with a status; `Retry_After="0"` is a header."""
        self._faults.append({"path": path, "times": times, "status": status, "headers": headers})

    def cut(self, path: str, after: int, times: int = 1) -> None:
        """End the next `times` transfers whose path contains `path` after so many bytes."""
        self._faults.append({"path": path, "times": times, "after": after})

    def folder(self, kind: str, repo: str) -> Path:
        return self.root / "datasets" / repo if kind == "datasets" else self.root / repo

    def files(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        """Name and content of a repository's files, sorted."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path.read_bytes()

    def revision(self, repo: str, kind: str = "models") -> str:
        """The commit of a repository's present content."""
        parts = [f"{name} {git_hash(content)}" for name, content in self.files(self.folder(kind, repo))]
        return hashlib.sha1("\n".join(parts).encode()).hexdigest()

    def asked(self, path: str, method: str = "GET") -> list[dict[str, str]]:
        """The headers, names in lower case, of each request of this method whose path contains `path`."""
        return [headers for verb, asked, headers in self.requests if verb == method and path in asked]

    def fault(self, path: str, kind: str) -> dict | None:
        """The arranged fault for a request, if there is one left."""
        for fault in self._faults:
            if kind in fault and fault["path"] in path and fault["times"]:
                fault["times"] -= 1
                return fault
        return None


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: what a full disk does, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((self.command, self.path, headers))
        if fault := self.hub.fault(self.path, "status"):
            headers = {name.replace("_", "-"): value for name, value in fault["headers"].items()}
            return self.answer(fault["status"], b"", headers)
        path = unquote(urlsplit(self.path).path)
        if match := API.fullmatch(path):
            return self.api(*match.groups())
        if match := RESOLVE.fullmatch(path):
            return self.resolve(*match.groups())
        if path in ("/api/models", "/api/datasets"):
            return self.search(path.removeprefix("/api/"))
        plain = self.hub.root / (path + "index.html" if path.endswith("/") else path)[1:]
        if path.startswith("/files/") and plain.is_file():
            kind = mimetypes.guess_type(plain)[0] or "application/octet-stream"
            return self.transfer(plain.read_bytes(), {"Content-Type": kind})
        if path.startswith("/blob/"):  # where a large file lies, on another origin
            return self.transfer((self.hub.root / path.removeprefix("/blob/")).read_bytes(), {})
        return self.answer(404, b"", {})

    def api(self, kind: str, repo: str, what: str | None, revision: str | None) -> None:
        folder = self.hub.folder(kind, repo)
        if not folder.is_dir():
            return self.error(404, "RepoNotFound", "Repository not found")
        commit = self.hub.revision(repo, kind)
        if revision not in (None, "main", commit):
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "tree":
            return self.json([self.entry(name, content) for name, content in self.hub.files(folder)])
        siblings = [{"rfilename": name} for name, _ in self.hub.files(folder)]
        gated = "manual" if repo in self.hub.gated else False
        about = {"id": repo, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0, "gated": gated}
        return self.json(about)

    def entry(self, name: str, content: bytes) -> dict:
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
        if len(content) >= self.hub.large:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def resolve(self, dataset: str | None, repo: str, revision: str, name: str) -> None:
        kind = "datasets" if dataset else "models"
        folder = self.hub.folder(kind, repo)
        if not folder.is_dir():
            return self.error(404, "RepoNotFound", "Repository not found")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo in self.hub.gated and token not in self.hub.gated[repo]:
            return self.error(403 if token else 401, "GatedRepo", f"Access to {repo} is restricted")
        commit = self.hub.revision(repo, kind)
        if revision not in ("main", commit):
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        headers = {"X-Repo-Commit": commit}
        if not (folder / name).is_file():
            return self.error(404, "EntryNotFound", "Entry not found", headers)
        content = (folder / name).read_bytes()
        if len(content) < self.hub.large:
            return self.transfer(content, {**headers, "ETag": f'"{git_hash(content)}"'})
        headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers["X-Linked-Size"] = str(len(content))
        headers["Location"] = f"{self.hub.elsewhere}/blob/{(folder / name).relative_to(self.hub.root).as_posix()}"
        return self.answer(302, b"", headers)

    def search(self, kind: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        base = self.hub.root / "datasets" if kind == "datasets" else self.hub.root
        ids = sorted(f"{path.parent.name}/{path.name}" for path in base.glob("*/*") if path.is_dir())
        author, text = query.get("author", [""])[0], query.get("search", [""])[0]
        return self.json([{"id": id} for id in ids if id.startswith(author) and text in id])

    def transfer(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the part of it that `Range` asks for, or less where a cut is arranged."""
        status, start = 200, 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(match[1])
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            if start >= len(content):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        body = content[start:]
        if self.command == "GET" and (fault := self.hub.fault(self.path, "after")):
            self.answer(status, body, headers, sent=fault["after"])
            self.close_connection = True
            return None
        return self.answer(status, body, headers)

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.answer(status, b"", {**(headers or {}), "X-Error-Code": code, "X-Error-Message": message})

    def answer(self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def log_message(self, *message: object) -> None:
        pass
