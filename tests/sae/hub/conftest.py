"""A Hub on loopback: the part of the Hub's protocol that its client uses to read and to push."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "c0ffee" + "0" * 34


class LoopbackHub:
    """Serves the files below ``root/OWNER/REPO`` at one commit; ``main`` is its branch.

    Those of a Space are below ``root/spaces/OWNER/REPO``. A push replaces the commit.
    """

    token = "hf_secret"
    """Any other is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commit = COMMIT
        self.commits: list[list[str]] = []
        """The paths of the files in each commit that was pushed."""
        self.uploaded: list[str] = []
        """SHA-256 of each large file that was pushed."""
        self.private: dict[str, bool] = {}
        """Of the repositories that were made here, by "OWNER/REPO"; others are public."""
        self.failing: dict[str, tuple[int, dict[str, str]]] = {}
        """Status and headers of the answer to requests whose path contains the key."""
        self.cut_upload = False
        """Whether connections are closed in the middle of a large file."""
        self.gated: set[str] = set()
        self.closed = False
        self.cut_after: int | None = None
        """Bytes after which the next download of a file is cut, once."""
        self.asked: list[tuple[str, str, str | None]] = []
        """(method, path, Range) of every request for a file's content."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.closed = True
        self._server.shutdown()
        self._server.server_close()

    def downloaded(self) -> list[str]:
        """Names of the files whose content was asked for whole."""
        return sorted(
            {path for method, path, part in self.asked if method == "GET" and part is None}
        )


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.take()

    def do_PUT(self) -> None:
        self.take()

    def answer(self) -> None:
        if self.hub.closed:  # on connections that were kept alive
            self.close_connection = True
            self.connection.close()
            return
        path = unquote(urlsplit(self.path).path)
        if self.is_refused(path):
            return
        path = re.sub(r"^/api/(models|spaces)/([^/]+/[^/]+)$", r"/api/\1/\2/revision/main", path)
        found = re.fullmatch(r"/api/(?:models/)?(.+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path)
        repo, revision = (found[1], found[3]) if found else (file[1], file[2]) if file else ("", "")
        if not repo or not (self.hub.root / repo).is_dir():
            self.refuse(401, "RepoNotFound")
        elif repo in self.hub.gated:
            self.refuse(403, "GatedRepo")
        elif revision not in ("main", self.hub.commit):
            self.refuse(404, "RevisionNotFound")
        elif found and found[2] == "revision":
            known = {"id": repo, "sha": self.hub.commit, "siblings": [], "tags": []}
            self.reply(known | {"private": self.hub.private.get(repo, False)})
        elif found:
            root = self.hub.root / repo
            self.reply([_tree_entry(p, root) for p in sorted(root.rglob("*")) if p.is_file()])
        else:
            assert file
            self.send_file(self.hub.root / repo / file[3], file[3])

    def is_refused(self, path: str) -> bool:
        """Answer with an error if the test wants one, or the token is another."""
        for part, (status, headers) in self.hub.failing.items():
            if part in path:
                self.refuse(status, "", headers)
                return True
        if self.headers.get("Authorization") not in (None, f"Bearer {self.hub.token}"):
            message = "Invalid credentials in Authorization header"
            self.refuse(401, "", {"X-Error-Message": message})
            return True
        return False

    def take(self) -> None:
        """Take what is pushed: the client's create, preupload, batch, PUT and commit."""
        path, length = unquote(urlsplit(self.path).path), int(self.headers["Content-Length"])
        if self.hub.cut_upload and path.startswith("/lfs/"):
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(length)
        if self.is_refused(path):
            return
        if path.startswith("/lfs/"):
            self.hub.uploaded.append(path.removeprefix("/lfs/"))
            (self.hub.root / ".lfs").mkdir(exist_ok=True)
            (self.hub.root / path[1:].replace("lfs", ".lfs", 1)).write_bytes(body)
            self.reply({})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            wrong = "license: nonsense" in json.loads(body)["content"]
            errors = [{"message": '"license" must be one of [mit, ...]'}] if wrong else []
            self.reply({"errors": errors, "warnings": []}, 400 if wrong else 200)
        elif path.endswith("/info/lfs/objects/batch"):
            self.reply({"objects": [self.batch(known) for known in json.loads(body)["objects"]]})
        else:
            found = re.fullmatch(r"/api/(?:models/)?(.+)/(preupload|commit)/main", path)
            assert found, path
            root = self.hub.root / found[1]
            (self.preupload if found[2] == "preupload" else self.commit)(root, body)

    def create(self, asked: dict) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        repo = f"spaces/{repo}" if asked.get("type") == "space" else repo
        if (self.hub.root / repo).exists():
            self.refuse(409, "")
            return
        (self.hub.root / repo).mkdir(parents=True)
        # Versions of the client before 1.0 say "private" alone.
        self.hub.private[repo] = asked.get("private", asked.get("visibility") == "private")
        assert asked.get("sdk") == ("static" if "spaces" in repo else None)
        self.reply({"url": f"{self.hub.url}/{repo}", "name": repo})

    def preupload(self, root: Path, body: bytes) -> None:
        files = json.loads(body)["files"]
        known = {"shouldIgnore": False}
        self.reply(
            {
                "files": [
                    known
                    | {"path": file["path"], "oid": _tree_oid(root / file["path"])}
                    | {"uploadMode": "lfs" if _is_large(Path(file["path"])) else "regular"}
                    for file in files
                ]
            }
        )

    def batch(self, known: dict) -> dict:
        answer = {"oid": known["oid"], "size": known["size"]}
        if not (self.hub.root / ".lfs" / known["oid"]).exists():
            answer["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{known['oid']}"}}
        return answer

    def commit(self, root: Path, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            value = line["value"]
            target = root / value["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "lfsFile":
                target.write_bytes((self.hub.root / ".lfs" / value["oid"]).read_bytes())
            else:
                assert line["key"] == "file"
                target.write_bytes(base64.b64decode(value["content"]))
        self.hub.commits.append([line["value"]["path"] for line in lines[1:]])
        self.hub.commit = hashlib.sha1(body).hexdigest()
        page = f"{self.hub.url}/{root.relative_to(self.hub.root).as_posix()}"
        url = f"{page}/commit/{self.hub.commit}"
        self.reply({"commitUrl": url, "commitOid": self.hub.commit})

    def refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"X-Error-Code": code, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, path: Path, name: str) -> None:
        if not path.is_file():
            self.refuse(404, "EntryNotFound")
            return
        body = path.read_bytes()
        part = self.headers.get("Range")
        self.hub.asked.append((self.command, name, part))
        start, end = 0, len(body)
        if part:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", part).groups()
            start, end = int(first), min(int(last) + 1, len(body)) if last else len(body)
        self.send_response(206 if part else 200)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if part:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.end_headers()
        if self.command != "GET":
            return
        cut = self.hub.cut_after
        if cut is not None and end - start > cut:
            self.hub.cut_after = None
            self.wfile.write(body[start : start + cut])
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(body[start:end])


def _is_large(path: Path) -> bool:
    """Whether the Hub keeps such a file as a large one, by its ending."""
    return path.suffix in (".safetensors", ".npz", ".png", ".pt")


def _tree_oid(path: Path) -> str | None:
    if not path.is_file():
        return None
    body = path.read_bytes()
    if _is_large(path):
        return hashlib.sha256(body).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def _tree_entry(path: Path, root: Path) -> dict:
    size = path.stat().st_size
    entry = {"type": "file", "path": path.relative_to(root).as_posix(), "size": size}
    if not _is_large(path):
        return entry | {"oid": _tree_oid(path)}
    large = {"oid": _tree_oid(path), "size": size, "pointerSize": 130}
    return entry | {"oid": "0" * 40, "lfs": large}


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[LoopbackHub]:
    """A Hub that the client asks by its own endpoint setting, and an empty cache."""
    served = LoopbackHub(tmp_path / "served")
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield served
    served.close()


@pytest.fixture
def server(hub, tmp_path, monkeypatch) -> LoopbackHub:
    """A Hub that knows our token, and a client that waits for nothing."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.root.mkdir()
    return hub
