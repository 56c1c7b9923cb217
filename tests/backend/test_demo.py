"""`workbook demo` on the finished backend: sample data, and a session whose URLs answer."""

import re
import sys
from pathlib import Path

import httpx
import pytest

from tests.demonstration import PATIENCE, demo

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process on Windows")
def test_the_printed_session_works(tmp_path: Path) -> None:
    """Every printed URL answers 200 with the printed token, and 401 without."""
    with demo(tmp_path, settings={"WORKBOOK_ROOT": str(ROOT), "PYTHONPATH": str(ROOT)}) as started:
        assert started.stdout is not None
        text = ""
        while text.count("curl ") < 3 and (line := started.stdout.readline()):
            text += line
        token = re.search(r"^TOKEN=(\S+)$", text, re.MULTILINE)
        assert token is not None, text
        urls = re.findall(r'"(http://127\.0\.0\.1:\d+/api/v1/[^"]+)"', text)
        assert len(urls) == 3
        for url in urls:
            assert (
                httpx.get(url, headers={"Authorization": f"Bearer {token[1]}"}, timeout=PATIENCE).status_code == 200
            ), url
            assert httpx.get(url, timeout=PATIENCE).status_code == 401, url
