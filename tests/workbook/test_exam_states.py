"""The states in which people find themselves with `workbook exam`: each has a message, an end, a status and a valid report."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from workbook.cli import main as cli
from workbook.exam import operations, run
from workbook.exam.cast import Exam
from workbook.exam.client import MAX_KEPT_BYTES, Answer, Client
from workbook.exam.door import address

ROOT = Path(__file__).parents[2]
Reply = Callable[[str], bytes]
TLS = b"\x16"  # the first byte of who speaks HTTPS
FINE = b'{"status": "ok"}'
PAGE = b"<!doctype html><title>Welcome to nginx</title>"
SECURE = b'{"detail": "Use https.", "code": "https_required", "request_id": "r"}'
REFUSED = b'{"detail": "no", "code": "no", "request_id": "r"}'


def answer(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    """Return a whole HTTP answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@contextmanager
def serving(reply: Reply, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve what `reply` makes of "METHOD PATH"; nothing closes the connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as closing:
                if not context and self.request.recv(1, socket.MSG_PEEK) == TLS:
                    self.request.sendall(answer(b"", "400 Bad Request"))
                    return
                talk = context.wrap_socket(self.request, server_side=True) if context else self.request
                closing.enter_context(talk)
                stream = closing.enter_context(talk.makefile("rb"))
                while first := stream.readline():
                    length = 0
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    stream.read(length)
                    said = reply(first.decode().rpartition(" ")[0])
                    if not said:
                        return
                    talk.sendall(said)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_who: object) -> None:
            """Say nothing: clients break off."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def healthy(asked: str) -> bytes:
    """Answer as a backend that knows /health, and refuses everything else."""
    return answer(FINE) if asked == "GET /health" else answer(REFUSED, "401 Unauthorized")


@dataclass
class Ended:
    """How the command ended."""

    status: int
    out: str
    err: str
    found: dict[str, Any]
    suites: ET.Element


@pytest.fixture
def exam(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    """Run the command as a terminal does; its JSON and its JUnit are read, whatever happened."""
    for name in ("WORKBOOK_EXAM_ADMIN", "WORKBOOK_EXAM_PASSWORD", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    def start(url: str, *options: str) -> Ended:
        target = tmp_path / "exam.xml"
        monkeypatch.setattr(sys, "argv", ["workbook", "exam", url, "--json", "--junit", str(target), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert (out + err).replace("\n", "").isprintable()
        return Ended(code, out, err, json.loads(out), ET.parse(target).getroot())

    return start


def impossible(ended: Ended, *parts: str) -> None:
    """Expect status 2, and the reason in words, in JSON and in JUnit."""
    assert ended.status == 2, ended.out
    assert ended.found["exam"] == "cannot be examined"
    assert ended.found["criteria"] == []
    suite = ended.suites[0]
    assert (suite.get("errors"), suite.get("tests")) == ("1", "1")
    said = suite[0][0].get("message") or ""
    for part in parts:
        assert part in ended.err
        assert part in f"{ended.found['reason']} {ended.found.get('hint')}"
    assert said == ended.found["reason"]
    assert "hint: " in ended.err


def test_nothing_listens(exam: Callable[..., Ended]) -> None:
    """An address without a server is told, with the command that starts one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    impossible(exam(f"http://127.0.0.1:{port}"), "nothing answers at", "uvicorn --app-dir solutions app.main:app")


STRANGERS: dict[str, tuple[Reply, str]] = {
    "a page for everything": (lambda _: answer(PAGE), "has not this interface: GET /health gave 200 <!doctype"),
    "a page that says 404": (lambda _: answer(PAGE, "404 Not Found"), "GET /health gave 404 <!doctype"),
    "JSON that says 404": (lambda _: answer(b'{"detail": "Not Found"}', "404 Not Found"), "is it the right port"),
    "an empty answer": (lambda _: answer(b"", "204 No Content"), "has not this interface"),
    "broken JSON": (lambda _: answer(b'{"status": "ok"'), 'gave 200 {"status": "ok"'),
    "terminal escapes": (lambda _: answer(b"\x1b]0;x\x07\x1b[2J\x00\xff"), "gave 200 \\u001b]0;x\\u0007"),
    "an error of a proxy": (lambda _: answer(PAGE, "502 Bad Gateway"), "look at its log"),
    "HTTPS only": (
        lambda asked: answer(FINE) if asked == "GET /health" else answer(SECURE, "403 Forbidden"),
        "answers over HTTPS only",
    ),
    "a redirect": (
        lambda _: answer(b"", "301 Moved Permanently", "Location: https://example.com/health"),
        "is redirected to https://example.com/health",
    ),
    "a closed connection": (lambda _: b"", "does it speak HTTPS?"),
    "no HTTP": (lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "nothing answers at"),
    "a header without an end": (lambda _: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000, "nothing answers at"),
    "a body that is too long": (lambda _: answer(b"x" * 1_500_000), "a body of more than 1000000 bytes"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_somebody_else_answers(exam: Callable[..., Ended], name: str) -> None:
    """What is no backend of this interface is not examined: one message, not seventy failures."""
    reply, part = STRANGERS[name]
    with serving(reply) as url:
        impossible(exam(url), part)


def test_a_server_that_hangs(exam: Callable[..., Ended]) -> None:
    """Without an answer there is an end nevertheless."""
    free = threading.Event()
    with serving(lambda _: b"" * free.wait(30)) as url:
        impossible(exam(url, "--seconds", "1"), "no whole answer in time", "is it stuck?")
        free.set()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate that nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, secret, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


def test_https(exam: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is verified; whom to trust besides can be said; the wrong scheme is named."""
    context, trusted = certificate(tmp_path)
    with serving(healthy, context) as url:
        impossible(exam(url), "CERTIFICATE_VERIFY_FAILED", "SSL_CERT_FILE")
        impossible(exam(url.replace("https:", "http:")), "nothing answers at", "HTTPS")
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert exam(url, "--only", "0.1").status == 0
        secure = exam(url, "--only", "14.7").found["criteria"]
        told = {one["name"]: one.get("expected") for one in secure}
        assert told["promises_of_https"] == "a Strict-Transport-Security"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
        impossible(exam(url), "SSL_CERT_FILE", "cannot be read")
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(healthy) as url:
        impossible(exam(url.replace("http:", "https:")), "an address of plain HTTP begins with http")


def test_what_is_no_address(exam: Callable[..., Ended]) -> None:
    """A mistyped address is told before anything is asked, and a password in it is not repeated."""
    for wrong in ("localhost:8000", "http://", "http://x y/", "http://a\x1b[31m", "ftp://x", "http://x/?a=1"):
        impossible(exam(wrong), "is no address of a backend", "workbook exam http://127.0.0.1:8000")
    secret = exam("http://ada:Secret123@127.0.0.1:8000")
    impossible(secret, "the address has a user name in it")
    assert "Secret123" not in secret.out + secret.err + ET.tostring(secret.suites, "unicode")
    impossible(exam("http://127.0.0.1:1", "--only", "99"), "asks nothing about '99'")


def test_a_backend_below_a_path(exam: Callable[..., Ended]) -> None:
    """A path before the prefix, a slash at the end, and the prefix itself in the address are all fine."""
    below = {"GET /shop/health": answer(FINE)}
    with serving(lambda asked: below.get(asked, answer(PAGE, "404 Not Found"))) as url:
        for end in ("/shop", "/shop/", "/shop/api/v1", "/shop/api/v1/"):
            ended = exam(f"{url}{end}", "--only", "0.1")
            assert (ended.status, ended.found["url"]) == (0, f"{url}/shop")
        impossible(exam(url), "does the address end before /api/v1?")
    assert address(" http://127.0.0.1:8000/api/v1/ ") == "http://127.0.0.1:8000"


def test_an_admin_who_is_none(exam: Callable[..., Ended]) -> None:
    """Without an admin their criteria are left out; half of one, a wrong password and a user are told."""
    user = b'{"access_token": "a.b.c", "refresh_token": "r", "user": {"id": 1, "role": "user"}}'

    def of_a_user(asked: str) -> bytes:
        return answer(user) if asked == "POST /api/v1/auth/login" else healthy(asked)

    with serving(healthy) as url:
        left_out = exam(url, "--only", "0.1,5.3")
        assert left_out.status == 0
        assert (left_out.found["passed"], left_out.found["not_asked"]) == (1, 1)
        impossible(exam(url, "--admin", "root"), "--admin-password is missing")
        impossible(exam(url, "--admin-password", "x"), "--admin is missing")
        wrong = exam(url, "--only", "0.1,5.3", "--admin", "root", "--admin-password", "Secret123")
        assert wrong.status == 1
        told = {one["exercise"]: one.get("got", "") for one in wrong.found["criteria"]}
        assert told["5.3"] == "the admin cannot sign in: 401; are --admin and --admin-password right?"
        assert "Secret123" not in wrong.out
    with serving(of_a_user) as url:
        ended = exam(url, "--only", "5.3", "--admin", "root", "--admin-password", "x")
        assert ended.status == 1
        assert "has the role 'user': it must be an admin's" in ended.out


def test_limits_that_end_soon_are_waited_for(exam: Callable[..., Ended]) -> None:
    """Whoever runs the exam twice in a minute waits as long as the backend says, and no longer than the exam may take."""
    asked: list[str] = []

    def limiting(line: str) -> bytes:
        asked.append(line)
        return answer(REFUSED, "429 Too Many Requests", f"Retry-After: {1 if len(asked) < 4 else 3000}")

    def at_first(line: str) -> bytes:
        asked.append(line)
        return answer(FINE) if len(asked) in (1, 4) else answer(REFUSED, "429 Too Many Requests", "Retry-After: 1")

    with serving(at_first) as url:
        assert exam(url, "--only", "0.1").status == 0
        assert len(asked) == 4
    asked.clear()
    with serving(limiting) as url:
        ended = exam(url, "--only", "0.1")
        assert ended.status == 1
        assert "Retry-After: 3000" in ended.found["criteria"][0]["got"]


def test_everything_that_breaks_a_report(exam: Callable[..., Ended]) -> None:
    """Escapes, characters that XML forbids and half characters, in bodies and headers, break neither terminal nor report."""
    bad = "\x1b[2J\x00\x0b\x0c\u202e\ufffe\uffff]]>&<\"'" + "x" * 500
    body = json.dumps(dict.fromkeys(("detail", "code", "request_id", "status", "user", "role"), bad)).encode()
    raw = body.replace(b"\\u001b", b"\x1b").replace(b"\\ufffe", b"\\ud800")
    more = (
        "Retry-After: \x1b[2J\xff",
        f"X-Request-ID: {bad[:4]}]]>\xff",
        "X-Total-Count: \x1b]0;x",
        "Set-Cookie: a=\x1b",
    )
    for found in (body, raw):
        for status in ("200 OK", "401 Unauthorized", "429 \x1b[2J"):

            def send(asked: str, found: bytes = found, status: str = status) -> bytes:
                return (
                    answer(FINE)
                    if asked == "GET /health"
                    else answer(found, status).replace(
                        b"\r\n\r\n", b"\r\n" + "\r\n".join(more).encode("latin-1") + b"\r\n\r\n", 1
                    )
                )

            with serving(send) as url:
                ended = exam(url, "--only", "0.1,1,5,9,14", "--seconds", "20")
            assert ended.status == 1
            assert len(ended.found["criteria"]) == sum(int(one.get("tests", 0)) for one in ended.suites)


@pytest.mark.skipif(sys.platform == "win32", reason="a console event there, which ends the parent, too")
def test_it_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends the exam soon; what was found until then is reported, and the status says so."""
    begun, free = threading.Event(), threading.Event()

    def slow(asked: str) -> bytes:
        if asked in ("GET /health", "GET /api/v1/users/me"):
            return healthy(asked)
        begun.set()
        return b"" * free.wait(60)

    # the children of a job in the background ignore the signal, until they say otherwise
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from workbook.cli.main import main; main()"
    command = [sys.executable, "-c", begin, "exam"]
    options = ["--json", "--junit", str(tmp_path / "exam.xml")]
    with serving(slow) as url:
        running = subprocess.Popen(
            [*command, url, *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        assert begun.wait(60)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        free.set()
    assert running.returncode == 130, err
    found = json.loads(out)
    assert found["exam"] == "interrupted"
    assert len(found["criteria"]) == len(run.CRITERIA)
    outcomes = {one["name"]: one for one in found["criteria"]}
    assert outcomes["health"]["outcome"] == "passed"
    assert outcomes["too_many_tries"]["got"] == "the exam was interrupted"
    assert len(list(ET.parse(tmp_path / "exam.xml").iter("testcase"))) == len(run.CRITERIA)
    assert b"Traceback" not in err


def test_the_readme_names_every_option() -> None:
    """The README's table has the options that the command has, and its variables are those that are read."""
    import typer.main

    section = (ROOT / "README.md").read_text("utf-8").partition("## Examine any backend")[2].partition("\n## ")[0]
    command = typer.main.get_command(cli.app).commands["exam"]  # type: ignore[attr-defined]
    known = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert set(re.findall(r"--[a-z][a-z-]+", section)) == known
    for name in ("WORKBOOK_EXAM_ADMIN", "WORKBOOK_EXAM_PASSWORD", "WORKBOOK_EXAM_SECRET_KEY", "SSL_CERT_FILE"):
        assert f"`{name}`" in section


async def test_a_refusal_that_breaks_off_is_asked_again() -> None:
    """Whoever refuses a large body may close before the client has read why: that is tried again, three times in all."""
    tries: list[int] = []

    def closes(asked: str) -> bytes:
        if not asked.startswith("POST"):
            return healthy(asked)
        tries.append(1)
        return b"" if len(tries) < 3 else answer(REFUSED, "413 Content Too Large")

    with serving(closes) as url:
        examined = Exam(Client(url, 10.0))
        examined._known["ada"] = ada = examined.stranger()
        ada.access = "a.b.c"
        await operations.large_bodies(examined)
        await examined.client.close()
    assert len(tries) == 3


async def test_answers_are_kept_up_to_a_size() -> None:
    """A server of large answers does not fill the memory of who examines it."""
    client = Client("http://127.0.0.1:1")
    for _ in range(100):
        client._keep(Answer("GET /", "/", 200, httpx.Headers(), b"x" * 1_000_000))
    assert sum(len(one.body) for one in client.good) < MAX_KEPT_BYTES + 2_000_000
    await client.close()
