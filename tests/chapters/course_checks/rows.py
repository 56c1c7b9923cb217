"""What the database holds, before and after."""

from workbook import expect


class Snapshot(dict):
    """What the database holds: a value for each "users/1/email", by the fixture `snapshot`."""

    def changes(self, before):
        """Return the paths that differ; a row that came or went is named once, as "users/1"."""
        rows = [{path.rpartition("/")[0] for path in one} for one in (before, self)]
        moved = rows[0] ^ rows[1]
        return sorted(moved) + sorted(
            path
            for path in before.keys() | self.keys()
            if path.rpartition("/")[0] not in moved and before.get(path) != self.get(path)
        )

    def same(self, before, *, did, but=(), at=None, why="", hint=""):
        """Expect that nothing is different from before, except what `but` names: tables, rows, or values of one row."""
        strange = [
            path for path in self.changes(before) if not any(path == one or path.startswith(f"{one}/") for one in but)
        ]
        if not strange:
            return
        path = strange[0]
        kind = "was changed" if path in before and path in self else "is gone" if self._has(before, path) else "is new"
        raise expect.Wrong(
            did=did,
            got=f"{path} {kind}: {expect.shown(before[path])} became {expect.shown(self[path])}"
            if kind == "was changed"
            else f"{path} {kind}",
            expected=f"nothing else changes than {', '.join(but)}" if but else "nothing changes",
            why=why or "what nobody asked for is changed, and nobody notices for a long time",
            hint=hint,
            at=at,
        )

    @staticmethod
    def _has(snapshot, row):
        return any(path.startswith(f"{row}/") for path in snapshot)
