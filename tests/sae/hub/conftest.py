"""A Hub on loopback: the part of the Hub's protocol that its client uses for reading."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "c0ffee" + "0" * 34


class LoopbackHub:
    """Serves the files below ``root/OWNER/REPO`` at one commit; ``main`` is its branch."""

    commit = COMMIT

    def __init__(self, root: Path) -> None:
        self.root = root
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

    def answer(self) -> None:
        if self.hub.closed:  # on connections that were kept alive
            self.close_connection = True
            self.connection.close()
            return
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repo, revision = (found[1], found[3]) if found else (file[1], file[2]) if file else ("", "")
        if not repo or not (self.hub.root / repo).is_dir():
            self.refuse(401, "RepoNotFound")
        elif repo in self.hub.gated:
            self.refuse(403, "GatedRepo")
        elif revision not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound")
        elif found and found[2] == "revision":
            self.reply({"id": repo, "sha": COMMIT, "private": False, "siblings": [], "tags": []})
        elif found:
            root = self.hub.root / repo
            files = sorted(p for p in root.rglob("*") if p.is_file())
            self.reply(
                [
                    {
                        "type": "file",
                        "path": p.relative_to(root).as_posix(),
                        "size": p.stat().st_size,
                        "oid": "0" * 40,
                    }
                    for p in files
                ]
            )
        else:
            assert file
            self.send_file(self.hub.root / repo / file[3], file[3])

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
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
        self.send_header("ETag", f'"{name}-{len(body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
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


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[LoopbackHub]:
    """A Hub that the client asks by its own endpoint setting, and an empty cache."""
    served = LoopbackHub(tmp_path / "served")
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield served
    served.close()
