"""`twinsae report` serves what it wrote, and ends quietly."""

import re
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from twinsae.cli.main import main

SERVE = ThreadingHTTPServer.serve_forever


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A training run that has a page."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text("<p>as it was</p>")
    (tmp_path / "log.jsonl").write_text("")
    return tmp_path


def test_it_serves_the_page_that_is_there_until_ctrl_c(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    read = []

    def serve(server: ThreadingHTTPServer) -> None:
        thread = Thread(target=SERVE, args=(server, 0.01))
        thread.start()
        url = re.search(r"http://127\.0\.0\.1:\d+/report/index\.html", capsys.readouterr().out)
        assert url is not None
        read.append(urllib.request.urlopen(url[0], timeout=10).read())
        server.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", serve)
    assert main(["report", str(run), "--serve"]) == 0
    assert read == [b"<p>as it was</p>"]
    assert capsys.readouterr().out == "stopped\n"


def test_a_page_is_written_first_where_there_is_none(run: Path, capsys: pytest.CaptureFixture[str]):
    (run / "report/index.html").unlink()
    assert main(["report", str(run), "--serve"]) == 2
    assert "has no line yet: nothing to draw" in capsys.readouterr().err
