"""An app under test, running, with a client on it that sees the exceptions nobody handled."""

import importlib
import importlib.util
import logging
import sys
import traceback
from contextlib import asynccontextmanager

from course_checks.people import SECRET_KEY
from workbook.checks import summary


def exists(name):
    """Say whether the learner's package has this module by now; its parent may be missing too."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class Quick:
    """A loader whose apps start quickly, also when they warm up their hashing by then (chapter 07)."""

    def __init__(self, load):
        self._load = load

    def __call__(self, name):
        """Import a module of the learner's package."""
        module = self._load(name)
        hash_cheaply()
        return module

    def fresh(self, name):
        """Import the whole package anew, as a new process would."""
        module = self._load.fresh(name)
        hash_cheaply()
        return module


class Watched:
    """An app that remembers the newest exception that nobody handled, or that a handler of last resort has logged.

    `alone` says that an answer depends on its request alone; a check that stores rows or breaks something sets it to
    False, and then no request is offered for replay, except one that is malformed on any app.
    """

    def __init__(self, app):
        self.app, self.error, self.alone = app, None, True

    async def __call__(self, scope, receive, send):
        """Pass a request on."""
        if scope["type"] == "http":
            self.error = None
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.error = error
            raise

    def note(self, record):
        """Remember the exception of a log record; a logging filter that lets everything pass."""
        if record.exc_info and record.exc_info[1] is not None:
            self.error = record.exc_info[1]
        return True

    async def tell(self, response):
        """Show in the feedback, in place of the body of a 500, which exception it was and where it rose."""
        exchange = response.extensions.get("workbook.exchange")
        if response.status_code == 500 and self.error is not None and exchange is not None:
            exchange.response_body = summary(self.error) + self._place()
        self.error = None  # it may hold a coroutine that lacks its `await`: the engine looks for that when it is gone
        if exchange is not None:
            exchange.replay = exchange.replay and (self.alone or response.status_code == 422)
        if response.is_success and response.request.method != "GET":
            self.alone = False

    def _place(self):
        frames = [frame for frame in traceback.extract_tb(self.error.__traceback__) if "/app/" in frame.filename]
        return f" (app/{frames[-1].filename.rpartition('/app/')[2]}:{frames[-1].lineno})" if frames else ""


def hash_cheaply():
    """Lower the cost of passwords, which the start of an app pays too, so that a check takes no time (chapter 07)."""
    context = getattr(sys.modules.get("app.core.security"), "pwd_context", None)
    if context is not None:
        try:
            context.update(bcrypt__rounds=4)
        except ValueError:  # the learner's own context sets a bound, and this would lie outside
            context.update(bcrypt__default_rounds=4, bcrypt__min_rounds=4, bcrypt__max_rounds=4)


@asynccontextmanager
async def running(load, connect, database_url="sqlite+aiosqlite://", **values):
    """Run an app of its own, and give a client on it that nobody has signed in: `client.app`, `client.sessions`.

    An unhandled exception is a 500, as a server would answer, and the feedback names it.
    """
    settings = load("core.config").Settings(database_url=database_url, secret_key=SECRET_KEY, **values)
    app = load("main").create_app(settings)
    hash_cheaply()  # after the first import: until then `app` could be another package
    postman = sys.modules.get("app.outbox.postman")
    if postman is not None:
        postman.POLL_SECONDS = 3600.0  # he comes when he is called, and not between a check's statements (chapter 13)
    watched, logger = Watched(app), logging.getLogger("app.core.middleware")
    logger.addFilter(watched.note)
    try:
        async with (
            app.router.lifespan_context(app),
            connect(watched, raise_app_exceptions=False, lifespan=False) as client,
        ):
            client.app, client.sessions, client.watched = app, app.state.session_factory, watched
            client.event_hooks["response"].append(watched.tell)
            yield client
    finally:
        logger.removeFilter(watched.note)
