"""Outputs made comparable."""

from workbook.course.stable import stable_text


def test_what_changes_from_run_to_run_is_masked() -> None:
    """Status lines, ports, addresses, times and instants become words; the rest stays."""
    text = "workbook: 3 of 9 points\napp/main.py: created\nhttp://127.0.0.1:4711/docs <x at 0x7f00aa11bb22> in 0.31 s"
    assert stable_text(text) == (
        "workbook: STATUS\napp/main.py: WRITTEN\nhttp://127.0.0.1:PORT/docs <x at ADDRESS> in TIME"
    )
    assert stable_text("2026-11-21T10:08:08.471+00:00 201 Created") == "INSTANT 201 Created"
