"""A report over HTTP, for a browser on another machine that reaches this one through a tunnel.

The server listens on 127.0.0.1 alone, reads and never writes, and gives only what lies in folders
named ``report``. A page of another site could make a reader's browser ask for it under a name that
leads to 127.0.0.1; so only requests that name this machine as their host are answered.
"""

import posixpath
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...common.files import StrPath

ADDRESS = "127.0.0.1"
REPORT = "report"
START = f"/{REPORT}/index.html"
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def open_server(folder: StrPath, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the reports at and below a folder, not yet running.

    Args:
        folder: the one whose ``report/index.html`` is the first page.
        port: where to listen on 127.0.0.1; 0: a free one.

    Returns:
        The server: ``server_port`` says where it listens, and ``serve_forever()`` runs it.

    Raises:
        OSError: the port is taken.
    """
    handler = partial(_Handler, directory=str(Path(folder).resolve()))
    try:
        return ThreadingHTTPServer((ADDRESS, port), handler)
    except OSError as error:
        raise OSError(error.errno, f"port {port} of {ADDRESS}: {error.strerror}") from error


class _Handler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD; the base class answers all else with 501."""

    server_version = "twinsae"
    sys_version = ""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if not _LOCAL_HOST.fullmatch(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "Only requests to 127.0.0.1 are answered")
            return False
        return True

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing: the terminal belongs to the command."""

    def guess_type(self, path: StrPath) -> str:
        return _TYPES.get(Path(path).suffix, "application/octet-stream")

    def translate_path(self, path: str) -> str:
        """Return the file of an address; the empty path, which is no file, for any other."""
        return str(_file(Path(self.directory), path) or "")

    def _answer(self, answer: Callable[[], None]) -> None:
        if urlsplit(self.path).path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", START)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            answer()


def _file(root: Path, address: str) -> Path | None:
    """Return the file below ``root`` that an address names, if it may be given away.

    Args:
        root: a resolved path.
        address: what follows the host, with or without a query.
    """
    path = unquote(urlsplit(address).path, errors="surrogateescape")
    if "\0" in path or "\\" in path:
        return None
    parts = posixpath.normpath(path).split("/")
    if ".." in parts or REPORT not in parts:
        return None
    # Links are followed, so that one which leads out of the reports is seen to.
    file = root.joinpath(*filter(None, parts)).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        return None
    return file if REPORT in file.relative_to(root).parts[:-1] else None
