"""Shops to attack: right and faulty apps of the course's own package (chapter 15)."""

import logging
import random
import sys
from contextlib import asynccontextmanager, contextmanager, nullcontext
from time import sleep
from types import SimpleNamespace

import aiosqlite
import httpx
import pytest

from course_checks.samples import PASSWORD
from workbook.sabotage import EDITS, Instrument, Original, changed, edited, replica

KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
URL = "http://shop/api/v1"
MADE = {}  # the replicas of this process: importing one takes a tenth of a second
APPS = {}  # what they have built: an app can be started again, with another database
TABLES = {}  # an SQL script for each schema: tables, and the first admin; the revisions take a twentieth of a second


class Workshop:
    """Makes right and faulty apps of the course's own package, each under a name of its own."""

    def __init__(self, files, folder):
        self.files, self.folder = files, folder

    def made(self, edits, replaced):
        """Return a package's `main`, changed as the edits say; made once in a process."""
        key = (edits, tuple(replaced.items()))
        if key not in MADE:
            name = f"shop{len(MADE)}"
            logger = logging.getLogger(name)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
            files = edited(self.files, edits) | replaced
            first = next((one for one, _main in MADE.values()), None)
            like = first if first and not touches_tables(changed(files, first.files)) else None
            MADE[key] = Original(files, name), replica(files, name, self.folder / name, like)
        return MADE[key][1]


def schema_of(main):
    """Return what a package's tables depend on."""
    files = next(one.files for one, made in MADE.values() if made is main)
    return frozenset((path, text) for path, text in files.items() if touches_tables([path]))


def touches_tables(paths):
    """Say whether one of these modules has tables, or revisions of them."""
    return any(path.endswith("models.py") or "/migrations/" in path or path == "db/base.py" for path in paths)


@pytest.fixture
def shops(load, solved, tmp_path_factory, tmp_path):
    """Open a shop: `async with shops("a search in SQL") as shop:`, or one that is right: `shops()`.

    `edits` are more changes, `replaced` whole modules; `file=True` gives each request a connection of its own, and
    `slow` lets each hash take so many seconds more.
    """
    files = {path: text for path, text in solved.files.items() if not path.startswith("tests/")}
    files["main.py"] = files["main.py"].replace("\n\napp = create_app()\n", "\n")  # nobody asks it
    workshop = Workshop(files, tmp_path_factory.mktemp("shops"))

    @asynccontextmanager
    async def open_shop(*faults, edits=(), replaced=None, file=False, slow=0.0):
        changes = (*(edit for fault in faults for edit in EDITS[fault]), *edits)
        main = workshop.made(changes, replaced or {})
        url = f"sqlite+aiosqlite:///{tmp_path}/{random.getrandbits(48):x}.db" if file else "sqlite+aiosqlite://"
        package, schema = main.__name__.partition(".")[0], schema_of(main)
        with prepared(package, schema), nullcontext() if file else without_threads():
            settings = settings_of(package, url)
            app = APPS.get(package) or main.create_app(settings)
            APPS[package], app.state.settings = app, settings
            async with running(package, app, slow) as http:
                if schema not in TABLES:
                    TABLES[schema] = await script_of(app)
                yield load("attacks.shop").Shop(http)

    return open_shop


@contextmanager
def prepared(package, schema):
    """Let a package's database begin with the tables and the admin that another one of the same schema had."""
    module = sys.modules[f"{package}.db.session"]
    original = module.prepare_schema

    async def prepare(engine, settings):
        if schema not in TABLES:
            await original(engine, settings)
        else:
            async with engine.connect() as connection:
                await (await connection.get_raw_connection()).driver_connection.executescript(TABLES[schema])

    module.prepare_schema = prepare
    try:
        yield
    finally:
        module.prepare_schema = original


class AtOnce:
    """What a connection of aiosqlite gives its work to, in place of a queue that a thread reads: it does it itself."""

    def put_nowait(self, work):
        """Do it; whoever waits for it goes on in the next round of the loop."""
        future, function = work
        try:
            done, result = future and future.set_result, function()
        except BaseException as error:
            done, result = future and future.set_exception, error
        if future:
            future.get_loop().call_soon(lambda: future.done() or done(result))


@contextmanager
def without_threads():
    """Let new connections of aiosqlite work in the loop's own thread: in memory nothing waits for a disk or a lock."""
    core = aiosqlite.core
    before = core.SimpleQueue, core.Thread
    core.SimpleQueue, core.Thread = AtOnce, lambda **_options: SimpleNamespace(start=lambda: None)
    try:
        yield
    finally:
        core.SimpleQueue, core.Thread = before


async def script_of(app):
    """Return the SQL that makes an app's database as it is."""
    async with app.state.session_factory() as session:
        connection = await (await session.connection()).get_raw_connection()
        return "\n".join([line async for line in connection.driver_connection.iterdump()])


def settings_of(package, url, **more):
    """Return settings with a first admin and without limits of tries, whatever the environment says."""
    known = {"first_admin_email": "root@example.com", "first_admin_password": PASSWORD, "rate_limit_enabled": False}
    values = {"database_url": url, "secret_key": KEY, "log_level": "CRITICAL", **known, **more}
    return sys.modules[f"{package}.core.config"].Settings(_env_file=None, **values)


@asynccontextmanager
async def opened(package, main, url, slow=0.0, **settings):
    """Start a new app of a package on an empty database; give a client."""
    async with running(package, main.create_app(settings_of(package, url, **settings)), slow) as http:
        yield http


@asynccontextmanager
async def running(package, app, slow=0.0):
    """Start a package's app with cheap hashing; give a client."""
    context = sys.modules[f"{package}.core.security"].pwd_context
    context.update(bcrypt__rounds=4)
    if f"{package}.outbox.postman" in sys.modules:
        sys.modules[f"{package}.outbox.postman"].POLL_SECONDS = 3600.0
    remember(context, slow)
    transport = httpx.ASGITransport(Instrument(app, context), raise_app_exceptions=False)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=URL, timeout=60) as http,
        ):
            http.package = package
            yield http
    finally:
        for name in ("hash", "verify"):
            vars(context).pop(name, None)


def remember(context, slow=0.0):
    """Let a passlib context work on each password once, and take `slow` seconds more for each hash."""
    make, compare, hashes, compared = context.hash, context.verify, {}, {}

    def hashed(secret, *args, **kwargs):
        sleep(slow)
        key = (secret, args, repr(kwargs))
        if key not in hashes:
            hashes[key] = make(secret, *args, **kwargs)
            compared[secret, hashes[key]] = True
        return hashes[key]

    def verified(secret, known, *args, **kwargs):
        if (secret, known) not in compared:
            compared[secret, known] = compare(secret, known, *args, **kwargs)
        return compared[secret, known]

    context.hash, context.verify = hashed, verified
