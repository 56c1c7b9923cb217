"""What check files take besides `expect`: the face of the rooms that checks may use.

`exercise` binds a test to an exercise. The fixtures `client`, `connect`, `load`, `suite`, `solved` and `postgres` come
from the plugin (`workbook.checking.plugin`) without an import.
"""

from __future__ import annotations

from workbook.base.wording import summary
from workbook.checking.finder import Finder, forget
from workbook.checking.marker import exercise
from workbook.checking.suite import Variant
from workbook.feedback.endings import why_none
from workbook.servers import services
from workbook.servers.postgres import temporary_database
from workbook.servers.redis import free_port, serve

__all__ = [
    "Finder",
    "Variant",
    "exercise",
    "forget",
    "free_port",
    "serve",
    "services",
    "summary",
    "temporary_database",
    "why_none",
]
