"""Checks of chapter 14, how the app is run: a server that leaves in peace, and a box to ship it in."""

import asyncio
import json
import os
import posixpath
import re
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from time import monotonic

import httpx
import uvicorn
from fastapi import FastAPI

from course_checks import journal
from course_checks.members import method
from workbook import expect
from workbook.checks import exercise

# fixtures
log = journal.log

# --------------------------------------------------------------------------------------------------------------- 14.10


class Door:
    """The learner's server on a small app; what happens is noted in `events`, in its order."""

    def __init__(self, load, drain):
        self.module, self.events, self.gate = load("serve"), [], asyncio.Event()
        self.app = FastAPI(lifespan=self.lifespan)

        @self.app.get("/quick")
        async def quick() -> str:
            return "quick"

        @self.app.get("/slow")
        async def slow() -> str:
            self.events.append("slow begins")
            await self.gate.wait()
            return "slow"

        config = uvicorn.Config(self.app, port=0, log_config=None, timeout_graceful_shutdown=20)
        self.server = self.module.DrainingServer(config, drain, leave=lambda: self.events.append("leave"))
        self.running = None

    @asynccontextmanager
    async def lifespan(self, _app):
        """Note the end of the app."""
        yield
        self.events.append("closed")

    async def __aenter__(self):
        """Start it."""
        self.running = asyncio.create_task(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
            if self.running.done():
                await self.running
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        return self

    async def __aexit__(self, *_):
        """Stop it, whatever happened."""
        self.gate.set()
        self.server.should_exit = self.server.force_exit = True
        await self.http.aclose()
        with suppress(Exception):
            async with asyncio.timeout(5):
                await self.running
        lifespan = getattr(self.server, "lifespan", None)
        if lifespan and "closed" not in self.events:  # a forced exit leaves it open, and its end would be printed
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await lifespan.shutdown()

    async def until(self, condition, seconds=5.0):
        """Wait for something; say whether it came."""
        ends = monotonic() + seconds
        while not condition() and monotonic() < ends:
            await asyncio.sleep(0.01)
        return condition()

    async def get(self, path):
        """Return the status, or the name of what went wrong; each on a connection of its own."""
        try:
            return (await self.http.get(path, headers={"Connection": "close"})).status_code
        except httpx.HTTPError as error:
            return type(error).__name__


MANY = 3000  # steps, of a wait of two seconds


class Hurry(Exception):
    """Somebody sleeps without end."""


class SleepClock:
    """A clock that sleeping moves: nobody waits, and the lengths are noted in `steps`."""

    def __init__(self):
        self.steps, self.passed = [], 0.0

    def install(self, monkeypatch, module, loop):
        """Let asyncio.sleep move the clocks that a module can look at."""
        sleep = asyncio.sleep

        async def moved(delay, result=None):
            self.steps.append(delay)
            self.passed += delay
            if len(self.steps) >= MANY:
                raise Hurry
            return await sleep(0, result)

        monkeypatch.setattr(asyncio, "sleep", moved)
        names = ("monotonic", "perf_counter", "time")
        clocks = {getattr(time, name): self.ahead(getattr(time, name)) for name in names}
        for name, value in list(vars(module).items()):
            if callable(value) and value in (*clocks, sleep):
                monkeypatch.setattr(module, name, moved if value is sleep else clocks[value])
        for name in names:
            monkeypatch.setattr(time, name, clocks[getattr(time, name)])
        monkeypatch.setattr(loop, "time", self.ahead(loop.time))

    def ahead(self, clock):
        """Return a clock that is ahead by what was slept."""
        return lambda: clock() + self.passed


@exercise("14.10", limit=25)
class TestLeaving:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "serve", "DrainingServer", "shutdown")

    async def test_first_leave(self, load):
        """When it is told to stop, it says at once that it leaves, once"""
        async with Door(load, 0.4) as door:
            door.server.should_exit = True
            came = await door.until(lambda: door.events, 3)
            expect.that(
                bool(came) and not door.running.done(),
                did="the server is told to stop",
                got=f"after a moment: {door.events or 'nothing was said'}",
                expected="self.leave() was called, before all else",
                why="the load balancer would go on sending requests",
                hint="self.leave() is the first line",
                at=self.at(load),
            )
            await door.until(door.running.done, 10)
            expect.equal(
                door.events,
                ["leave", "closed"],
                did="what happened, in its order",
                why="the app says that it leaves, serves on, and is closed at the end",
                hint="leave, wait, then await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_serves_on(self, load):
        """While it drains, new connections are served"""
        async with Door(load, 3.0) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            await asyncio.sleep(0.25)
            found = [await door.get("/quick") for _ in range(5)]
            expect.equal(
                found,
                [200] * 5,
                did="five requests after the server was told to stop, while it drains",
                why="the load balancer asks every few seconds, and sends requests until it hears the no",
                hint=(
                    "wait before super().shutdown, which closes the door; and wait by asyncio.sleep, "
                    "which lets others run"
                ),
                at=self.at(load),
            )
            door.server.force_exit = True

    async def test_time(self, load):
        """It waits as long as it was told, and then closes its door"""
        async with Door(load, 0.5) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            began = monotonic()
            ended = await door.until(door.running.done, 12)
            took = monotonic() - began
            expect.that(
                ended and took > 0.35,
                did="the server is told to stop, with drain_seconds 0.5",
                got=f"it ended after {took:.1f} s" if ended else "it did not end",
                expected="it ends after 0.5 s and a little more",
                why="too early, and requests are lost; never, and it is killed",
                hint="self.drain_seconds are to be waited: should_exit is true by then, and only force_exit ends the "
                "waiting; then await super().shutdown(sockets)",
                at=self.at(load),
            )
            expect.equal(
                await door.get("/quick"),
                "ConnectError",
                did="a request afterwards",
                why="the process must end",
                hint="await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_under_way(self, load):
        """Requests that are under way are answered, also when they take longer than the draining"""
        async with Door(load, 0.2) as door:
            asking = [asyncio.create_task(door.get("/slow")) for _ in range(20)]
            await door.until(lambda: door.events.count("slow begins") == 20)
            door.server.should_exit = True
            await door.until(lambda: "leave" in door.events, 3)
            await asyncio.sleep(0.6)
            door.gate.set()
            found = await asyncio.gather(*asking)
            expect.equal(
                found,
                [200] * 20,
                did="20 requests that were under way when the server was told to stop",
                why="an order that was accepted must be answered",
                hint="uvicorn waits for them: await super().shutdown(sockets)",
                at=self.at(load),
            )
            await door.until(door.running.done, 10)
            expect.equal(
                door.events[-1],
                "closed",
                did="the last thing that happened",
                why="the pool is closed when nobody needs it",
                hint="await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_second_time(self, load):
        """Who forces the exit does not wait for the draining"""
        async with Door(load, 9.0) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            door.server.force_exit = True
            ended = await door.until(door.running.done, 6)
            expect.that(
                bool(ended),
                did="the exit is forced, while the server drains for 9 s",
                got="it still waits",
                expected="it ends at once",
                why="you press Ctrl+C twice, and then look for the process to kill it",
                hint="wait in small steps, and look at self.force_exit between them",
                at=self.at(load),
            )

    async def test_small_steps(self, load, monkeypatch):
        """It waits the seconds it was told, in steps of a tenth of a second at most, and not without a pause"""
        module, loop, clock = load("serve"), asyncio.get_running_loop(), SleepClock()
        clock.install(monkeypatch, sys.modules[module.DrainingServer.__module__], loop)

        async def shutdown(_self, sockets=None):
            return None

        monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
        for drain in (0.2, 2.0):
            clock.steps.clear()
            server = module.DrainingServer(uvicorn.Config(FastAPI(), log_config=None), drain, leave=lambda: None)
            with suppress(Hurry):
                await server.shutdown()
            did, steps = f"the asyncio.sleep while it drains for {drain} s", clock.steps
            reason = {"did": did, "at": self.at(load)}
            expect.that(
                len(steps) < MANY,
                got=f"{len(steps)} of them, and no end",
                expected="some, of a tenth of a second at most",
                why="a loop without a pause takes the processor from the requests that are still under way",
                hint="await asyncio.sleep(0.05), or 0.1; not 0",
                **reason,
            )
            expect.that(
                max(steps, default=0) <= 0.1,
                got=f"{max(steps, default=0)} s at once",
                expected="0.1 s at most",
                why="you press Ctrl+C twice, and nothing happens",
                hint="wait in small steps, and look at self.force_exit between them",
                **reason,
            )
            expect.that(
                sum(steps) < drain + 0.3,
                got=f"{sum(steps):.1f} s together",
                expected=f"{drain} s, and a little more",
                why="who runs the app knows how often the load balancer asks, and sets it",
                hint="self.drain_seconds, not a number of your own",
                **reason,
            )

    async def test_sockets(self, load):
        """Uvicorn gets the sockets that it was given"""
        module, given = load("serve"), []

        async def shutdown(_self, sockets=None):
            given.append(sockets)

        real = uvicorn.Server.shutdown
        uvicorn.Server.shutdown = shutdown
        try:
            for sockets, forced in ((["socket"], False), (None, False), (["forced"], True)):
                drain = 9 if forced else 0
                server = module.DrainingServer(uvicorn.Config(FastAPI(), log_config=None), drain, leave=lambda: None)
                server.force_exit = forced
                await server.shutdown(sockets)
        finally:
            uvicorn.Server.shutdown = real
        expect.equal(
            given,
            [["socket"], None, ["forced"]],
            did='what uvicorn\'s own shutdown was given, after shutdown(["socket"]) and shutdown(None), and after '
            'shutdown(["forced"]) when the exit is forced',
            why="who hands sockets to uvicorn wants them closed, and the door would stay open",
            hint="hand `sockets` on, in any case: a forced exit ends the waiting, not uvicorn's part"
            if given[:2] == [["socket"], None]
            else "hand `sockets` on",
            at=self.at(load),
        )


# --------------------------------------------------------------------------------------------------------------- 14.11


HEREDOC = re.compile(r"^RUN <<-?['\"]?(\w+)['\"]?\s*\n(.*?)\n\1\s*$", re.DOTALL | re.MULTILINE)


class Instructions:
    """A Dockerfile, read: stages, each a list of (instruction, rest)."""

    def __init__(self, text):
        text = HEREDOC.sub(lambda one: f"RUN {' && '.join(one[2].strip().splitlines())}", text)
        joined = re.sub(
            r"\\\s*\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        )
        self.stages, self.all, named, outside = [], [], {}, {}
        for line in joined.splitlines():
            word, _, rest = line.strip().partition(" ")
            if not word:
                continue
            pair = (word.upper(), rest.strip())
            if pair[0] == "FROM":
                self.stages.append([])
                named = dict(outside)
            if pair[0] not in ("ENV", "ARG"):
                pair = (pair[0], filled_in(pair[1], named))
            elif given := re.findall(r"(\w+)[= ]\"?([^\s\"]+)", pair[1]):
                pair = (pair[0], filled_in(pair[1], named))
                named |= given
                outside |= {} if self.stages else given
            if self.stages:
                self.stages[-1].append(pair)
            self.all.append(pair)

    def rests(self, word, stage=None):
        """Return what follows each instruction of a kind, in all stages or in one."""
        return [rest for found, rest in (self.all if stage is None else self.stages[stage]) if found == word]


def filled_in(text, values):
    """Put the values of ENV and ARG in the place of their names."""
    return re.sub(r"\$\{?(\w+)\}?", lambda one: values.get(one[1], one[0]), text)


def operands(rest):
    """Return what a COPY names, its sources and at the end its target; in the list form too."""
    while match := re.match(r"--\S+\s+", rest):
        rest = rest[match.end() :]
    return form(rest) or rest.split()


def source(word):
    """Return a source of a COPY without ./ and / around it."""
    return word.removeprefix("./").strip("/")


def python_of(image):
    """Return the version of Python in an image's name as "3.13", where it is told, and its kind of C library."""
    found = re.search(r"python[:-]?v?(\d+\.\d+)", image)
    return (found[1] if found else None), "alpine" if "alpine" in image else "glibc"


def brought(words, target, places):
    """Return where the code lies after a COPY from a stage in which it lies at these places."""
    for one in (posixpath.normpath(posixpath.join("/", word)).rstrip("/") for word in words[:-1]):
        for place in places:
            if f"{place}/".startswith(f"{one}/"):
                yield posixpath.normpath(target + place[len(one) :])


def places_of_code(file):
    """Return where the folder app lies in the last stage, and the WORKDIR in which its CMD runs."""
    stages = {}
    for number, lines in enumerate(file.stages):
        first = next(word for word in lines[0][1].split() if not word.startswith("--"))
        name = re.search(r"(?i)\sas\s+(\S+)", lines[0][1])
        folder, code = stages.get(first.lower(), ("/", set()))
        for word, rest in lines[1:]:
            words = operands(rest)
            if word == "WORKDIR":
                folder = posixpath.join(folder, rest.strip("\"'"))
            elif word in ("COPY", "ADD") and len(words) > 1:
                target = posixpath.normpath(posixpath.join(folder, words[-1]))
                origin = re.search(r"--from=(\S+)", rest)
                here = {target} if any(source(one) == "app" for one in words[:-1]) else set()
                there = stages.get(origin[1].lower(), ("", set()))[1] if origin else set()
                code = code | (set(brought(words, target, there)) if origin else here)
        stages[str(number)] = stages[name[1].lower() if name else ""] = folder, code
    return code, posixpath.normpath(folder)


def form(rest):
    """Return the list of an instruction in its list form, or None."""
    try:
        found = json.loads(rest)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 for /health, and 404 for all else."""

    def do_GET(self):
        """Answer."""
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_arguments):
        """Write nothing."""


@exercise("14.11")
class TestBox:
    def file(self, load):
        """Read the learner's Dockerfile."""
        module = load("deploy.dockerfile")
        text = module.DOCKERFILE
        expect.that(
            isinstance(text, str) and "FROM" in text.upper(),
            did="DOCKERFILE",
            got=expect.shown(text),
            expected="a text with FROM",
            why="there would be no image",
            hint="a text between three quotation marks",
            at=(module, "DOCKERFILE"),
        )
        return Instructions(text)

    def rule(self, load, condition, *, did, got, expected, why, hint):
        """Expect a rule to hold."""
        expect.that(
            bool(condition),
            did=did,
            got=got,
            expected=expected,
            why=why,
            hint=hint,
            at=(load("deploy.dockerfile"), "DOCKERFILE"),
        )

    def test_stages(self, load):
        """Two stages: the first is called build, and the last one copies /venv from it"""
        file = self.file(load)
        names = [re.search(r"(?i)\sas\s+(\S+)", rest) for rest in file.rests("FROM")]
        first = names[0][1].lower() if names[0] else None
        copied = [rest for rest in file.rests("COPY", -1) if re.search(r"--from=(build|0)\b", rest) and "/venv" in rest]
        self.rule(
            load,
            len(file.stages) >= 2 and first == "build" and copied,
            did="the stages of the Dockerfile",
            got=(
                f"{len(file.stages)} stage(s), the first is called {first}, the last one copies "
                f"{copied or 'nothing from build'}"
            ),
            expected="FROM … AS build, then FROM …, with COPY --from=build /venv /venv in it",
            why="pip, its cache and whatever was needed to build would be delivered too",
            hint="FROM begins a stage, and AS gives it a name",
        )

    def test_versions(self, load):
        """Every base image has a version"""
        for rest in self.file(load).rests("FROM"):
            image = next(word for word in rest.split() if not word.startswith("--"))
            tag = image.partition("@")[2] or image.rpartition("/")[2].partition(":")[2]
            self.rule(
                load,
                image == "build" or re.search(r"\d", tag),
                did=f"FROM {rest}",
                got=f"the version {tag or '(none)'}",
                expected="a version with a number, such as python:3.13-slim",
                why="the same file makes another box next month, with a Python that you did not test",
                hint="in both stages",
            )
            minor = "sha256" in tag or re.search(r"\d\.\d", tag) or not re.search(r"(^|/)python[:@]", image)
            self.rule(
                load,
                minor,
                did=f"FROM {rest}",
                got=f"the version {tag}",
                expected="one with two numbers, such as python:3.13-slim",
                why="python:3 is another Python next year, and /venv/lib has a folder for one of them",
                hint="in both stages",
            )

    def test_same_python(self, load):
        """Both stages have the same Python"""
        file = self.file(load)
        names = [re.search(r"(?i)\sas\s+(\S+)", rest) for rest in file.rests("FROM")]
        stages = {name[1].lower() for name in names if name}
        images = [next(word for word in rest.split() if not word.startswith("--")) for rest in file.rests("FROM")]
        told = [python_of(image) for image in images if image.lower() not in stages]
        versions = sorted({version for version, _library in told if version})
        self.rule(
            load,
            len(versions) <= 1,
            did="the Python of the stages",
            got=" and ".join(versions),
            expected="one version in all stages",
            why=f"the packages lie in /venv/lib/python{(versions or [''])[0]}, where another one does not look",
            hint="the same image in both lines FROM",
        )
        self.rule(
            load,
            len({library for _version, library in told}) <= 1,
            did="the base images of the stages",
            got=", ".join(images),
            expected="alpine in all stages, or in none",
            why="packages with parts in C are built for one C library, and alpine has another one",
            hint="the same image in both lines FROM",
        )

    def test_lock(self, load):
        """The lock is installed with hashes and without resolving, before the code is copied"""
        file = self.file(load)
        installs = [
            (n, rest)
            for n, (word, rest) in enumerate(file.all)
            if word == "RUN" and re.search(r"pip3?\s.*install|uv\s+(pip\s+)?(install|sync)", rest)
        ]
        installs = [one for one in installs if "requirements" in one[1]] or installs
        text = " ".join(rest for _n, rest in installs)
        self.rule(
            load,
            installs and "requirements" in text,
            did="the RUN lines",
            got="none installs requirements.lock",
            expected="RUN … pip install … -r …requirements.lock",
            why="the app would have no packages",
            hint="-r names the file",
        )
        for option, why in (
            ("--require-hashes", "a package that was changed on its way would be installed"),
            ("--no-deps", "what runs must be what the lock says, and nothing that a resolver adds"),
        ):
            self.rule(
                load,
                option in text,
                did="RUN … pip install",
                got=f"no {option}",
                expected=option,
                why=why,
                hint=f"add {option}",
            )
        copies = [(n, rest) for n, (word, rest) in enumerate(file.all) if word in ("COPY", "ADD")]
        locks = [n for n, rest in copies if "requirements.lock" in rest]
        codes = [
            n for n, rest in copies if any(source(one) == "app" for one in operands(rest)[:-1]) and "--from" not in rest
        ]
        self.rule(
            load,
            locks and codes and locks[0] < installs[0][0] < codes[0],
            did="the order of the lines",
            got="no line copies app"
            if not codes
            else "no line copies requirements.lock"
            if not locks
            else "the packages are installed before the lock is copied"
            if installs[0][0] < locks[0]
            else "the code, or all of the folder, is copied before the packages are installed",
            expected="COPY requirements.lock, then pip install, then COPY app",
            why="a change of one line of your code would install everything anew",
            hint="what changes often comes last",
        )

    def test_into_venv(self, load):
        """The packages are installed into /venv, in the first stage"""
        first = self.file(load).stages[0]
        before, found, made = "", None, False
        for word, rest in first:
            if word == "ENV":
                before += f" {rest}"
            if word != "RUN":
                continue
            made = made or re.search(r"(venv|virtualenv)\b[^&;|]*[\s\"']/venv\b", rest) is not None
            for command in re.split(r"&&|;", rest):
                if re.search(r"activate\b", command) and "/venv" in command:
                    before += " PATH=/venv/bin"
                if "requirements" not in command or not re.search(r"\b(install|sync)\b", command):
                    continue
                uses = r"(PATH|VIRTUAL_ENV|UV_PROJECT_ENVIRONMENT|PIP_PREFIX|UV_PYTHON)[= ]\"?/venv"
                goes = re.search(r"(^|\s)\"?/venv/bin/|--(python|prefix|root|target)[= ]\"?/venv", command)
                found = goes or re.search(uses, f"{before} {command}") or found
                made = made or re.search(r"--prefix[= ]\"?/venv", command) is not None
        self.rule(
            load,
            found and made,
            did="RUN … pip install, in the first stage: where the packages go",
            got="to the Python of the base image, not to /venv" if made else "nowhere: no line makes /venv",
            expected="to /venv, which the second stage copies",
            why="the second stage would copy a /venv without packages, and the app could not start",
            hint="python -m venv /venv makes it; /venv/bin/pip installs into it, and pip alone does not",
        )

    def test_place_of_code(self, load):
        """The code lies where `python -m app.serve` finds it: a folder app in the WORKDIR"""
        file = self.file(load)
        code, folder = places_of_code(file)
        paths = re.findall(r"PYTHONPATH[= ]\"?([^\s\"]+)", " ".join(file.rests("ENV", -1)))
        wanted = {posixpath.join(one, "app") for one in (folder, *":".join(paths).split(":"))}
        self.rule(
            load,
            code & wanted,
            did="where the code lies in the last stage",
            got=f"serve.py is in {', '.join(sorted(code)) or 'no folder: app is not copied'}",
            expected=f"in {posixpath.join(folder, 'app')}, for the WORKDIR is {folder}",
            why="python -m app.serve looks for a folder app in the WORKDIR: no module named app",
            hint="COPY puts what is *in* app into its target: call the target app too; WORKDIR is the one above",
        )

    def test_only_what_is_needed(self, load):
        """Only the lock and app/ are copied from the folder"""
        for rest in self.file(load).rests("COPY") + self.file(load).rests("ADD"):
            words = operands(rest)
            if "--from" in rest:
                continue
            strange = [word for word in words[:-1] if source(word) not in ("requirements.lock", "app")]
            self.rule(
                load,
                not strange,
                did=f"COPY {rest}",
                got=f"copies {', '.join(strange)}",
                expected="requirements.lock and app only",
                why=(
                    ".env, the database and the git history lie in the same folder, and go to everybody "
                    "who has the image"
                ),
                hint="name what you copy",
            )

    def test_no_secret(self, load):
        """No ENV or ARG holds a secret, and no RUN either"""
        names = r"(?i)(secret|password|token|database_url|redis_url|api_key)\w*\s*[= ]"
        for word in ("ENV", "ARG", "RUN", "LABEL"):
            for rest in self.file(load).rests(word):
                found = (
                    re.search(names, rest + " ")
                    if word != "RUN"
                    else re.search(r"(?i)\b(SECRET_KEY|\w*PASSWORD|\w*TOKEN|DATABASE_URL)=", rest)
                )
                self.rule(
                    load,
                    not found,
                    did=f"{word} {rest.split('=')[0].split(' ')[0]} …",
                    got="a setting that is a secret",
                    expected="none: settings come when it is started",
                    why="a layer can be read by everybody who has the image, for ever",
                    hint="take the line out",
                )

    def test_nobody(self, load):
        """The process that runs is not root"""
        file = self.file(load)
        users = file.rests("USER", -1)
        user = users[-1].split(":")[0].strip() if users else "root"
        made = (
            user.isdecimal()
            or any(re.search(rf"(useradd|adduser)\b.*\b{re.escape(user)}\b", rest) for rest in file.rests("RUN", -1))
            or user in ("nobody", "www-data")
        )
        self.rule(
            load,
            user not in ("root", "0") and made,
            did="USER, in the last stage",
            got=f"{user}{'' if made or user in ('root', '0') else ', whom no line makes'}",
            expected="a user of its own",
            why="who breaks into the app could do everything in the box",
            hint="RUN useradd …, and later USER",
        )
        words = [word for word, _rest in file.stages[-1]]
        late = (
            [
                rest
                for word, rest in file.stages[-1][words.index("USER") :]
                if word == "RUN" and re.search("useradd|adduser|apt", rest)
            ]
            if users
            else []
        )
        self.rule(
            load,
            not late,
            did="the lines below USER",
            got=f"RUN {late[0] if late else ''}",
            expected="what needs root stands above USER",
            why="the image cannot be built",
            hint="USER comes after all that needs root",
        )

    def test_health(self, load):
        """A health check asks /health by Python: it succeeds while the app answers, and fails when nobody does"""
        checks = self.file(load).rests("HEALTHCHECK", -1)
        text = checks[-1] if checks else "none"
        self.rule(
            load,
            checks
            and re.search(r"\b8000\b", text)
            and "/health" in text
            and "python" in text
            and "CMD" in text
            and not re.search("curl|wget", text),
            did="HEALTHCHECK, in the last stage",
            got=text,
            expected="one that asks http://127.0.0.1:8000/health by Python",
            why="a process that hangs looks alive, and a tool that is not in the box makes a healthy one look ill",
            hint="HEALTHCHECK … CMD, and a list that starts python -c with urllib.request",
        )
        self.rule(
            load,
            "/health/ready" not in text,
            did="HEALTHCHECK",
            got="it asks /health/ready",
            expected="/health",
            why="the box would be killed while the database is away",
            hint="alive, not ready",
        )
        command = text.partition("CMD")[2].strip()
        self.rule(
            load,
            form(command) is not None or not command.startswith("["),
            did="the list of the health check",
            got=command,
            expected="a list as JSON has it, with double quotation marks around each part",
            why="what is no list goes to a shell, which finds no such command: the box would look ill for ever",
            hint='["python", "-c", "…"], and single quotation marks only inside of the program',
        )
        healthy, said = self.asked(command, answers=True)
        self.rule(
            load,
            healthy,
            did="the health check, while GET /health is 200",
            got=f"it fails: {said}",
            expected="it succeeds",
            why="the box would look ill for ever",
            hint="run its program once yourself: python -c '…'",
        )
        self.rule(
            load,
            not self.asked(command, answers=False)[0],
            did="the health check, while nobody answers",
            got="it succeeds",
            expected="it fails",
            why="a process that hangs looks alive",
            hint="let the program end with the exception that it gets, and put no `|| true` behind it",
        )

    def asked(self, command, *, answers):
        """Run a health check against a small server, or against none; say whether it succeeds, and its last line."""
        server = HTTPServer(("127.0.0.1", 0), Healthy)
        port = server.server_address[1]
        if answers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        else:
            server.server_close()
        parts = form(command) or ["/bin/sh", "-c", command]
        if re.fullmatch(r"(\S*/)?python3?(\.\d+)?", parts[0]):
            parts = [sys.executable, *parts[1:]]
        folder = posixpath.dirname(sys.executable)
        try:
            done = subprocess.run(
                [re.sub(r"\b8000\b", str(port), part).replace("/venv/bin", folder) for part in parts],
                env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"},
                capture_output=True,
                text=True,
                timeout=8,
                check=False,
            )
            lines = done.stderr.strip().splitlines()
            return done.returncode == 0, lines[-1] if lines else f"it ends with {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return False, f"{type(error).__name__}: {error}"
        finally:
            if answers:
                server.shutdown()
                server.server_close()

    def test_command(self, load):
        """CMD is a list, and starts app.serve for all addresses of the box"""
        commands = self.file(load).rests("CMD", -1)
        found = form(commands[-1]) if commands else None
        self.rule(
            load,
            found is not None,
            did="CMD, in the last stage",
            got=commands[-1] if commands else "none",
            expected='a list: CMD ["python", "-m", …]',
            why="a shell would get the SIGTERM, and your app would be killed with all its requests",
            hint="square brackets, and double quotation marks",
        )
        program, words = (found or [""])[0], [*(found or []), "", ""]
        pairs = list(pairwise(words))
        hint = "--host 0.0.0.0 behind app.serve"
        if any(" " in word.strip() for word in found or []):
            hint = "each word is a text of its own in the list; and no shell, which does not hand the SIGTERM on"
        elif ("-m", "app.serve") not in pairs:
            hint = "app.serve drains when it is told to stop; uvicorn alone does not"
        self.rule(
            load,
            re.fullmatch(r"(\S*/)?python3?(\.\d+)?", program)
            and ("-m", "app.serve") in pairs
            and (("--host", "0.0.0.0") in pairs or "--host=0.0.0.0" in words),
            did="CMD",
            got=json.dumps(found),
            expected='["python", "-m", "app.serve", "--host", "0.0.0.0"]',
            why="uvicorn alone would not drain; and an app on 127.0.0.1 of its box cannot be reached from outside",
            hint=hint,
        )
        reset = self.file(load).rests("ENTRYPOINT", -1)
        self.rule(
            load,
            not reset,
            did="ENTRYPOINT",
            got=str(reset),
            expected="none: the same box runs the migrations with another command",
            why="`docker run … python -m app.db.migrate upgrade` would start the app",
            hint="CMD alone",
        )

    def test_python_is_found(self, load):
        """The Python that runs is the one of /venv"""
        file = self.file(load)
        command = (form(file.rests("CMD", -1)[-1]) if file.rests("CMD", -1) else None) or [""]
        path = " ".join(file.rests("ENV", -1))
        copied = [operands(rest) for rest in file.rests("COPY", -1) if "--from" in rest]
        venv = next((posixpath.normpath(words[-1]) for words in copied if source(words[0]) == "venv"), "/venv")
        self.rule(
            load,
            command[0].startswith(f"{venv}/") or re.search(rf"PATH[= ]\"?{re.escape(venv)}/bin", path),
            did=f"which python the CMD starts, with /venv copied to {venv}",
            got=command[0],
            expected=f"{venv}/bin/python, by PATH or by its name",
            why="the Python of the base image has none of your packages",
            hint="COPY --from=build /venv /venv, and ENV PATH=/venv/bin:$PATH",
        )
