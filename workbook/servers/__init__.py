"""Servers that chapters need beside the app: PostgreSQL and Redis, started when they are first asked for.

May import: `base`.
Begin with: `services`, which says where a server is or starts it.
"""
