"""The course's own commands: build, verify, demo, doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workbook.cli.context import Context, Json, Names, bar


def build(
    only_check: Annotated[bool, typer.Option("--check", help="Change nothing; name what has drifted.")] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="With --check: compare files, run no notebook.")] = False,
) -> None:
    """Build notebooks/, solutions/*.ipynb and solutions/app from solutions/*.md."""
    from workbook.course import build as module
    from workbook.learner.root import find_root

    root = find_root(Path.cwd())
    if only_check:
        found = module.stale(root, run=not no_run)
        print("\n".join(found) or "built files agree with their sources")
        if found:
            print("\nhint: make build", file=sys.stderr)
        raise SystemExit(1 if found else 0)
    written = module.build(root, say=lambda text: print(text, file=sys.stderr))
    print("\n".join(written) or "nothing to do")


def verify(
    names: Names = "",
    as_json: Json = False,
    write: Annotated[bool, typer.Option("--write", help="Put table and record into the repository.")] = False,
    sample: Annotated[int, typer.Option(help="About how many trials to run although their verdict is known.")] = 0,
    every_state: Annotated[bool, typer.Option("--every-state", help="Also inside of later chapters.")] = False,
) -> None:
    """Prove the checks: stub, solution, wrong and right answers, mutants. Exit status 0 only when all holds."""
    from workbook.proof.table import put_table, table
    from workbook.proof.verify import Verifier
    from workbook.running import pool

    here = Context()
    chosen = here.course.select(names)
    with bar("verifying", quiet=as_json) as step, pool.opened(here.root) as workers:
        verifier = Verifier(here.root, here.course, here.workspace.state_dir, workers)
        rows = verifier.verify(chosen, step, sample=sample, every_state=every_state)
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2))
    else:
        print(table(rows))
        for row in rows:
            for problem in row.problems:
                print(f"\n{row.exercise} {problem}")
        print(f"\n{verifier.ran + verifier.known} trials: {verifier.ran} run now, {verifier.known} known by content")
    if write and not names:
        verifier.record.write()
    drifted = put_table(here.root, rows, write=write) if not names else False
    raise SystemExit(1 if drifted or any(row.problems for row in rows) else 0)


def demo(port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000) -> None:
    """Start the finished backend, solutions/app, on 127.0.0.1 with sample data; print a signed-in session's URLs."""
    from workbook.front import demo as module
    from workbook.learner.root import find_root

    module.serve(find_root(Path.cwd()), port)


def doctor(as_json: Json = False) -> None:
    """Find what is wrong with this machine's set-up, and say the repair."""
    from dataclasses import asdict

    from workbook.install.doctor import diagnose
    from workbook.learner.root import find_root

    findings: list[Any] = diagnose(find_root(Path.cwd()))
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        for one in findings:
            print(f"{'ok   ' if one.ok else 'WRONG'}  {one.name}: {one.detail}")
            if not one.ok:
                print(f"       hint: {one.repair}")
    raise SystemExit(0 if all(one.ok for one in findings) else 1)
