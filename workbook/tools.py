"""What a chapter's cells call besides `show`: databases, servers, and an app to attack."""

from __future__ import annotations

from workbook.practice.extensions import extended
from workbook.practice.fuzzing import fuzz
from workbook.practice.record import record
from workbook.practice.target import examined, sabotaged, served
from workbook.servers import postgres
from workbook.servers.redis import redis_url

__all__ = ["examined", "extended", "fuzz", "postgres", "record", "redis_url", "sabotaged", "served"]
