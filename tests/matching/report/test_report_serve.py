"""The server gives the report's files to this machine, and nothing else to anyone."""

import http.client
import threading

import pytest
from twinsae.matching.report.serve import START, open_server


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("served") / "match"
    report = root / "report"
    (report / "data").mkdir(parents=True)
    (root / "below" / "report").mkdir(parents=True)
    (report / "index.html").write_text("<p>first</p>")
    (report / "data" / "a b.js").write_text("1;")
    (report / "x.css").write_text("p {}")
    (report / "x.svg").write_text("<svg/>")
    (report / "x.bin").write_bytes(b"\0")
    (root / "below" / "report" / "index.html").write_text("<p>second</p>")
    (root / "summary.json").write_text("secret")
    (root.parent / "outside.html").write_text("secret")
    (report / "out.html").symlink_to(root.parent / "outside.html")
    (report / "up.json").symlink_to(root / "summary.json")
    (root / "elsewhere").symlink_to(root.parent)
    return root


@pytest.fixture(scope="module")
def server(root):
    with open_server(root) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    """Return a function that sends a request as it is typed, and returns the answer."""

    def ask(address, method="GET", host=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest(method, address, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    return ask


def test_it_listens_on_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "kind", "content"),
    [
        (START, "text/html; charset=utf-8", b"<p>first</p>"),
        (f"{START}?x=1", "text/html; charset=utf-8", b"<p>first</p>"),
        ("/report/data/a%20b.js", "text/javascript; charset=utf-8", b"1;"),
        ("/report/x.css", "text/css; charset=utf-8", b"p {}"),
        ("/report/x.svg", "image/svg+xml", b"<svg/>"),
        ("/report/x.bin", "application/octet-stream", b"\0"),
        ("/below/report/index.html", "text/html; charset=utf-8", b"<p>second</p>"),
        ("/below/../report/x.css", "text/css; charset=utf-8", b"p {}"),
    ],
)
def test_files_come_with_their_type(ask, address, kind, content):
    status, headers, body = ask(address)
    assert (status, headers["Content-Type"], body) == (200, kind, content)
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, body = ask(address, "HEAD")
    assert (status, int(headers["Content-Length"]), body) == (200, len(content), b"")


def test_the_root_leads_to_the_page(ask):
    status, headers, _ = ask("/")
    assert (status, headers["Location"]) == (302, START)


@pytest.mark.parametrize(
    "address",
    [
        *("/summary.json", "/report/../summary.json", "/report/..%2fsummary.json"),
        *("/../outside.html", "/report/../../outside.html", "/%2e%2e/outside.html"),
        *("/report/%2e%2e/%2e%2e/outside.html", "/report/%252e%252e/summary.json"),
        *("//etc/passwd", "/report//etc/passwd", "/etc/report/../passwd", "/report/%00index.html"),
        *("/report/..\\summary.json", "/report/out.html", "/report/up.json"),
        *("/elsewhere/match/report/../../outside.html", "/elsewhere/outside.html"),
        *("/report", "/report/", "/report/data", "/report/no.html", "/below/report"),
    ],
)
def test_all_else_is_not_found(ask, address):
    for method in ("GET", "HEAD"):
        status, _, body = ask(address, method)
        assert status == 404
        assert b"secret" not in body
        assert b"root:" not in body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8000"])
def test_this_machine_has_several_names(ask, host):
    assert ask(START, host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@x", " "]
)
def test_other_hosts_are_refused(ask, host):
    status, _, body = ask(START, host=host)
    assert status == 403
    assert b"first" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading(ask, root, method):
    before = sorted(root.rglob("*"))
    assert ask(START, method)[0] == 501
    assert sorted(root.rglob("*")) == before


def test_a_port_that_is_taken_is_named(server, root):
    with pytest.raises(OSError, match=f"port {server.server_port} of 127.0.0.1: .*in use"):
        open_server(root, server.server_port)


def test_a_report_that_is_a_link_elsewhere_is_not_served(tmp_path, root):
    (tmp_path / "report").symlink_to(root / "report")
    with open_server(tmp_path) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", other.server_port, timeout=10)
        connection.request("GET", START)
        assert connection.getresponse().status == 404
        connection.close()
        thread.join()
