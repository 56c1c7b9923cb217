"""Reports: text, HTML, JUnit and JSON of one verdict."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from workbook.feedback import export, panel, report
from workbook.feedback.outcome import Outcome
from workbook.feedback.replay import replay
from workbook.feedback.verdict import CheckReport, Criterion, Exchange, Location

EXCHANGE = Exchange(
    method="POST",
    url="/api/v1/items?x=1",
    headers={"content-type": "application/json"},
    body='{"title": "<b>"}',
    status=500,
    reason="Internal Server Error",
)


def made(outcome: Outcome, **facts: object) -> CheckReport:
    """Return a report with a passed criterion and one of `outcome`."""
    second = {"id": "b", "text": "Second `criterion`", "outcome": outcome, **facts}
    criteria = [Criterion(id="a", text="First", outcome=Outcome.PASSED), Criterion.model_validate(second)]
    return CheckReport(exercise="2.2", title="A <title>", outcome=outcome, criteria=criteria, out_of=3, hint="Do it")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_verdict_comes_first_in_every_form(outcome: Outcome) -> None:
    """Text and HTML begin with the exercise and the verdict in words; colour is never all there is."""
    one = made(outcome)
    assert report.text(one).startswith("2.2 A <title>: ")
    assert str(outcome) in report.text(one).split("\n")[0]
    assert f"2.2 A &lt;title&gt;: {outcome}" in panel.as_html(one)


def test_html_escapes_what_the_learner_wrote() -> None:
    """Nothing of the learner's becomes markup, and no script, style sheet or variable is needed."""
    one = made(Outcome.WRONG, got="<script>alert(1)</script>", exchange=EXCHANGE)
    page = panel.as_html(one)
    assert "<script" not in page
    assert "var(" not in page
    assert "<style" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        ("application/json", '{"title":"<b>","n":[1,null,true]}', "json={'title': '<b>', 'n': [1, None, True]}"),
        ("application/json", '{"a":1,"a":2}', 'content=\'{"a":1,"a":2}\''),
        ("application/json", '{"a":', "content='{\"a\":'"),
        (
            "application/x-www-form-urlencoded",
            "username=a%40b&password=x+y",
            "data={'username': 'a@b', 'password': 'x y'}",
        ),
        ("application/x-www-form-urlencoded", "a=1&a=2", "content='a=1&a=2'"),
        ("text/plain", "hello", "content='hello'"),
    ],
)
def test_a_request_can_be_replayed(kind: str, body: str, sent: str) -> None:
    """The request is shown as the chapters write it, or byte by byte where data would come out differently."""
    headers = {"content-type": kind, "x-request-id": "7"}
    code = replay(EXCHANGE.model_copy(update={"headers": headers, "body": body}))
    compile(code, "replay", "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
    assert code.startswith(f"await client.post('/api/v1/items?x=1', {sent}, headers={{'x-request-id': '7'")
    assert (kind in code) is sent.startswith("content=")


def test_a_method_that_httpx_gives_no_name_is_replayed() -> None:
    """Any method can be sent, and a body with any method."""
    for method, body in (("BREW", ""), ("GET", "x")):
        code = replay(EXCHANGE.model_copy(update={"method": method, "body": body, "headers": {}}))
        assert code.startswith(f"await client.request('{method}', '/api/v1/items?x=1'")


def test_a_request_that_only_the_check_can_send_is_not_replayed() -> None:
    """An app, or a user with a token, that lives only inside a check gets no line to paste."""
    assert "replay" in report.text(made(Outcome.WRONG, exchange=EXCHANGE))
    only_here = EXCHANGE.model_copy(update={"replay": False})
    signed_in = EXCHANGE.model_copy(update={"headers": {"authorization": "Bearer t"}})
    for exchange in (only_here, signed_in):
        assert "replay" not in report.text(made(Outcome.WRONG, exchange=exchange))


def test_what_fails_alike_is_told_once() -> None:
    """Of criteria that fail in exactly the same way, the first says all; one that differs says its own."""
    one = made(Outcome.RAISED, got="NameError: name 'x' is not defined")
    first = one.criteria[1]
    one.criteria += [first.model_copy(update={"text": "Third"}), first.model_copy(update={"got": "other"})]
    for told in (report.text(one), panel.as_html(one)):
        assert told.count("NameError") == 1
        assert told.count("(as above)") == 1
        assert "Third" in told
        assert "other" in told


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"did": "GET /x?limit=0"}, "(as above, for GET /x?limit=0)"),
        ({"got": 'a 409 {"id": 2, "request_id":"abc", "at":"2026-01-02T03:04:05Z"}'}, "(as above)"),
        (
            {"got": 'a 409 {"id": 1, "request_id":"abd", "at":"2026-01-02T03:04:06Z"}', "did": "y" * 200},
            "(as above, for yyy",
        ),
        ({"got": "a 410"}, ""),
        ({"why": "another reason"}, ""),
        ({"expected": "a 201"}, ""),
    ],
)
def test_failures_that_differ_in_nothing_that_matters_are_told_once(change: dict[str, str], again: str) -> None:
    """The request, ids and times may differ; another result, expectation or reason is another failure."""
    facts = {"did": "GET /x", "got": 'a 409 {"id": 1, "request_id":"abd", "at":"2026-01-02T03:04:06Z"}', "why": "it is"}
    one = made(Outcome.WRONG, **facts)
    one.criteria.append(one.criteria[1].model_copy(update=change))
    told = report.text(one)
    assert again in told
    assert told.count("(as above") == bool(again)
    assert all(len(line) < 140 for line in told.split("\n"))


def test_one_exception_is_told_once_whatever_was_expected() -> None:
    """Criteria that fail by the same exception on the same line have one block."""
    one = made(Outcome.WRONG, got="500  KeyError", cause="KeyError app/x.py:1", expected="200")
    one.criteria.append(one.criteria[1].model_copy(update={"expected": "404", "why": "other", "did": "GET /y"}))
    assert "(as above, for GET /y)" in report.text(one)
    assert "404" not in report.text(one)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["wrong", "passed", "passed"], "(1 of 3 criteria fails)"),
        (["wrong", "wrong", "passed"], "(2 of 3 criteria fail)"),
        (["wrong"], "(1 of 1 criterion fails)"),
    ],
)
def test_the_verdict_counts_what_fails(outcomes: list[str], said: str) -> None:
    """The number in the first line is that of the criteria that fail, and says so."""
    criteria = [Criterion(id="", text="", outcome=Outcome(one)) for one in outcomes]
    one = CheckReport(exercise="2.2", title="A title", outcome=Outcome.WRONG, criteria=criteria)
    assert report.verdict_line(one) == f"2.2 A title: wrong {said}"


def test_no_time_is_said_as_such() -> None:
    """A busy machine is named, and nothing is called wrong."""
    assert report.verdict_line(made(Outcome.LATE)).endswith("out of time: the machine was busy; run it again")


def test_the_authorization_that_was_sent_is_shown_and_shortened() -> None:
    """Who asked is a part of the request; a token in the body is of the check, and not replayed."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzIn0.c2ln"
    signed_in = EXCHANGE.model_copy(update={"headers": {"authorization": f"Bearer {token}"}})
    assert "sent: Authorization: Bearer eyJ… (sub 3)" in report.text(made(Outcome.WRONG, exchange=signed_in))
    assert replay(EXCHANGE.model_copy(update={"body": f'{{"refresh_token":"{token}"}}'})) == ""


def test_the_way_of_an_exception_is_shown() -> None:
    """Where it rose is said beside the line to look at, and who called that."""
    where = Location(path="app/b.py", line=2)
    one = made(
        Outcome.RAISED,
        got="KeyError",
        where=where,
        trace=["app/d.py:1  from app import a", "app/a.py:1", "app/b.py:2", "app/c.py:3"],
    )
    told = report.text(one)
    for part in ("your code: app/b.py:2", "raised at: app/c.py:3", "called from: app/a.py:1"):
        assert part in told
    assert told.count("app/b.py") == 1
    assert "from app import a" not in told


def test_a_second_mistake_has_its_hint() -> None:
    """Two mistakes, two hints, in text and HTML."""
    one = made(Outcome.WRONG)
    one.second = "Do that, too"
    assert report.text(one).endswith("hint: Do it\nhint: Do that, too")
    assert panel.as_html(one).count("<b>hint:</b>") == 2


def test_the_hint_is_shown_once_and_not_after_a_pass() -> None:
    """A failure ends with one hint; a pass has none."""
    assert report.text(made(Outcome.WRONG)).count("hint:") == 1
    assert "hint:" not in report.text(made(Outcome.PASSED))


def test_junit_holds_any_text() -> None:
    """Control characters and lone surrogates do not break the XML; counts are right."""
    one = made(Outcome.WRONG, got="\x00\ud800", where=Location(path="app/x.py", line=3, source="x"))
    tree = ET.fromstring(export.as_junit([one, made(Outcome.BROKE), made(Outcome.NOT_ATTEMPTED)]).encode())
    suites = tree.findall("testsuite")
    assert [suite.get("failures") for suite in suites] == ["1", "0", "0"]
    assert [suite.get("errors") for suite in suites] == ["0", "1", "0"]
    assert [suite.get("skipped") for suite in suites] == ["0", "0", "1"]
    failure = suites[0].find(".//failure")
    assert failure is not None
    assert failure.get("message") == "\\u0000\\ud800"


def test_json_is_the_whole_report() -> None:
    """The JSON form can be read back into the same report."""
    one = made(Outcome.RAISED, exchange=EXCHANGE, trace=["app/x.py:1"])
    (read,) = json.loads(export.as_json([one]))
    assert CheckReport.model_validate(read) == one
