"""Checks of chapter 01, the app: a factory, a lifespan, a router with a version."""

import sys
from asyncio import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from course_checks.origins import EVIL, SHOP
from workbook import expect
from workbook.checks import exercise


@contextmanager
def own_app(made):
    """Name the app that the requests go to. It lives in the check only, so a request cannot be sent to it again."""
    try:
        yield
    except expect.Wrong as wrong:
        if wrong.exchange is not None:
            wrong.did, wrong.exchange = f"{wrong.did}, in an app with {made}", None
        raise


@exercise("1.3")
class TestFactory:
    async def test_settings_are_obeyed(self, load, monkeypatch):
        """create_app(settings) uses these settings, not those of the environment: the title, and app.state.settings"""
        main, config = load("main"), load("core.config")
        monkeypatch.setenv("PROJECT_NAME", "Another")
        settings = config.Settings(project_name="Bakery")
        app = main.create_app(settings)
        expect_title(app, main)
        expect.that(
            getattr(app.state, "settings", None) is settings,
            did="create_app(settings).state.settings is settings",
            got="something else, or nothing",
            expected="the settings that were handed in",
            why="later code finds the settings of its own app there",
            hint="app.state takes any attribute: the table names the one that is missing or another's",
            at=main.create_app,
        )

    async def test_two_apps(self, load):
        """Two calls make two apps that share nothing, whatever settings they get"""
        main, config = load("main"), load("core.config")
        same = config.Settings(project_name="Bakery")
        for title, pair in (
            ("Settings of two kinds", (same, config.Settings(project_name="Library"))),
            ("equal settings", (same, config.Settings(project_name="Bakery"))),
            ("the same settings twice", (same, same)),
            ("no settings", (None, None)),
        ):
            first, second = (main.create_app(settings) for settings in pair)
            self.expect_two(main, (first, second), title, pair)

    def expect_two(self, main, apps, title, pair):
        """Expect two apps, each with its own settings and nothing of the other's."""
        first, second = apps
        did, at = f"create_app twice, with {title}", main.create_app
        expect.that(
            first is not second and main.app not in apps,
            did=did,
            got="one app, returned twice" if first is second else "the app of the server, `app`",
            expected="two new apps",
            why="one global app that every call changes lets one test decide the result of another",
            hint="does every call come to the line that makes a FastAPI object, and return that object?",
            at=at,
        )
        for app, settings in zip(apps, pair, strict=True):
            if settings is None:
                continue
            expect.equal(
                app.title,
                settings.project_name,
                did=f"{did}: the title of the one for {settings.project_name}",
                why="a test that asks for special settings would test something else",
                hint="what comes in by the parameter must reach FastAPI(…): where does its title come from now?",
                at=at,
            )
            expect.that(
                getattr(app.state, "settings", None) is settings,
                did=f"{did}: app.state.settings of the one for {settings.project_name}",
                got="other settings, or none",
                expected="the settings that it was given",
                why="what one app is told would hold for the other, or for none",
                hint="the table says what app.state holds; it belongs to the app that this call makes",
                at=at,
            )
        first.state.only_here = True
        first.dependency_overrides[main.create_app] = None
        first.add_api_route("/only-here", lambda: None)
        shared = [
            name
            for name, found in (
                ("app.state", hasattr(second.state, "only_here")),
                ("dependency_overrides", main.create_app in second.dependency_overrides),
                ("the routes", any(getattr(route, "path", "") == "/only-here" for route in second.routes)),
            )
            if found
        ]
        expect.that(
            not shared,
            did=f"{did}; then change one of them",
            got=f"the other app has changed too: {', '.join(shared)}",
            expected="nothing in common",
            why="a test that replaces something in its app would replace it in every app",
            hint="make everything that belongs to an app inside create_app",
            at=at,
        )

    async def test_lifespan(self, load, connect, monkeypatch):
        """The app that create_app makes is started and stopped by `lifespan`, answers /health, and is not ready yet"""
        main, config = load("main"), load("core.config")
        seen = []

        @asynccontextmanager
        async def lifespan(app):
            seen.append("start")
            yield
            seen.append("stop")

        expect.that(callable(main.lifespan), did="app.main.lifespan", got="no function", expected="a function")
        monkeypatch.setattr(sys.modules["app.main"], "lifespan", lifespan)
        app = main.create_app(config.Settings())
        async with connect(app) as client:
            with own_app("Settings()"):
                await expect_health(client, main)
        expect.equal(
            seen,
            ["start", "stop"],
            did="start and stop an app made by create_app: what lifespan saw",
            why="nothing that lifespan opens would ever be open: 1.4 needs it",
            hint="FastAPI(...) has a second argument in the cell as it was given: it hands lifespan over",
            at=main.create_app,
        )
        expect.equal(
            getattr(app.state, "ready", None),
            False,
            did="create_app(Settings()).state.ready",
            why="1.4 begins with this flag",
            hint="keep the last lines of create_app as they were",
            at=main.create_app,
        )

    def test_environment_by_default(self, load, monkeypatch):
        """create_app() uses the settings of get_settings(), and so does the app that the server runs"""
        monkeypatch.setenv("PROJECT_NAME", "Bakery")
        main, config = load.fresh("main"), load("core.config")
        for name, app in (("create_app()", main.create_app()), ("app.main.app", main.app)):
            expect.equal(
                app.title,
                "Bakery",
                did=f"{name}.title, with PROJECT_NAME=Bakery",
                why="the server would run with settings that nobody chose",
                hint="when the parameter is None, which function gives the settings of the environment?",
                at=main.create_app,
            )
            expect.that(
                getattr(app.state, "settings", None) is config.get_settings(),
                did=f"{name}.state.settings is get_settings()",
                got="another object",
                expected="the one object that get_settings() returns",
                why="in development each Settings object makes up a key of its own: one part of the app would sign "
                "with a key that another part refuses",
                hint="there is a function that makes the object once, and keeps it: ask that one",
                at=main.create_app,
            )

    def test_unsafe_does_not_start(self, load, monkeypatch):
        """With STAGE=production and no key, `uvicorn app.main:app` does not start"""
        monkeypatch.setenv("STAGE", "production")
        with expect.raising(
            ValueError,
            says="SECRET_KEY",
            did="import app.main, with STAGE=production and no key",
            why="fail fast: an app without a key must not begin to serve",
            hint="the last line of main.py calls create_app(), without settings: leave it as it was",
        ):
            load.fresh("main")

    async def test_listed_origins(self, load, connect):
        """A page of a listed origin may read, with credentials, and may send PATCH with Authorization"""
        for origins in ([SHOP], [SHOP, "http://localhost:5173", "https://library.example"]):
            async with app_for(load, connect, origins) as (client, main):
                for origin in origins:
                    for response in (await get_from(client, origin), await preflight(client, origin)):
                        await self.expect_allowed(response, origin, main)

    async def expect_allowed(self, response, origin, main):
        """Expect that a page of the origin may read, with credentials."""
        why = "your own web page could not use your API"
        hint = (
            "which origins does CORSMiddleware get? The settings hold the list; methods and headers stay as they were"
        )
        expect.status(response, 200, why=why, hint=hint, at=main.add_cors)
        expect.header(response, "access-control-allow-origin", origin, why=why, hint=hint, at=main.add_cors)
        expect.header(
            response,
            "access-control-allow-credentials",
            "true",
            why="your own web page could not send its cookies along",
            hint="a list without a star may have credentials: it is the star that forbids them",
            at=main.add_cors,
        )

    async def test_methods_and_headers(self, load, connect):
        """A listed origin may send the methods and headers that add_cors lists, and no others"""
        async with app_for(load, connect, [SHOP]) as (client, main):
            for method in ("GET", "POST", "PATCH", "DELETE"):
                response = await preflight(client, SHOP, method, "Content-Type")
                expect.status(
                    response,
                    200,
                    why="your own web page could not use your API",
                    hint="keep allow_methods and allow_headers as they were in the cell",
                    at=main.add_cors,
                )
            for method, header in (("PUT", "Content-Type"), ("GET", "X-Probe-Of-The-Check")):
                response = await preflight(client, SHOP, method, header)
                expect.status(
                    response,
                    400,
                    why="what a page may send was wider than the exercise's list",
                    hint="keep allow_methods and allow_headers as they were in the cell: a list, no star",
                    at=main.add_cors,
                )

    async def test_other_origin(self, load, connect):
        """A page of any other origin may not read, however near its name, and without a list none may"""
        near = ("https://shop.example.evil.example", "https://other.shop.example", "https://myshop.example")
        others = (EVIL, "http://shop.example", f"{SHOP}:8443", "https://shopxexample", "null", *near)
        for origins in ([SHOP], [], [SHOP, "https://library.example"]):
            async with app_for(load, connect, origins) as (client, main):
                for other in others if origins else (SHOP, EVIL):
                    for response in (await get_from(client, other), await preflight(client, other)):
                        expect.header(
                            response,
                            "access-control-allow-origin",
                            None,
                            why="any page in the world could read what your users may read",
                            hint="no origins means none: hand the list over as it is, also when it is empty"
                            if not origins
                            else "the middleware gets a list of origins that may: which list do the settings hold?",
                            at=main.add_cors,
                        )

    async def test_any_origin(self, load, connect):
        """With "*" in the list, alone or not, any page may read, but never with credentials"""
        for origins in (["*"], ["*", SHOP], [SHOP, "*"]):
            async with app_for(load, connect, origins) as (client, main):
                for origin in (EVIL, SHOP):
                    for response in (await get_from(client, origin), await preflight(client, origin)):
                        self.expect_any_origin(response, origin, main)

    def expect_any_origin(self, response, origin, main):
        """Expect that the origin may read, without credentials."""
        allowed = response.headers.get("access-control-allow-origin")
        expect.that(
            allowed in ("*", origin),
            response=response,
            got=f"access-control-allow-origin: {allowed}",
            expected="any origin is allowed, as the settings say",
            why="an operator who allows every page in development would wonder",
            hint="hand the list of the settings over as it is: the middleware knows what a star means",
            at=main.add_cors,
        )
        expect.header(
            response,
            "access-control-allow-credentials",
            None,
            why='"*" with credentials lets any page act as the user who is signed in',
            hint="whether credentials are allowed depends on the list: is there a star anywhere in it?",
            at=main.add_cors,
        )


def expect_title(app, main):
    """Expect that an app was made with the settings it was given, whose project is called Bakery."""
    expect.equal(
        app.title,
        "Bakery",
        did='create_app(Settings(project_name="Bakery")).title',
        why="a test that asks for special settings would test something else",
        hint="what comes in by the parameter must reach FastAPI(…): where does its title come from now?",
        at=main.create_app,
    )


async def expect_health(client, main):
    """Expect that an app of the factory answers GET /health."""
    response = await client.get("/health")
    why = "machines ask for /health, whatever the app is made of"
    hint = "keep the last lines of create_app: the route is made inside it, for each app anew"
    expect.status(response, 200, why=why, hint=hint, at=main.create_app)
    expect.json(response, {"status": "ok"}, why=why, hint=hint, at=main.create_app)


@asynccontextmanager
async def app_for(load, connect, origins):
    """Give a client on an app whose settings list these origins, and the learner's module."""
    main, config = load("main"), load("core.config")
    app = main.create_app(config.Settings(project_name="Bakery", cors_origins=origins))
    expect_title(app, main)  # who ignores the settings is told so, and not of each origin
    with own_app(f"Settings(cors_origins={origins!r})"):
        async with connect(app) as client:
            yield client, main


async def get_from(client, origin):
    """Ask for /health as a page of that origin does."""
    return await client.get("/health", headers={"Origin": origin})


async def preflight(client, origin, method="PATCH", header="authorization"):
    """Ask, as a browser does, whether a page of that origin may send a method with a header."""
    return await client.options(
        "/health",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": header,
        },
    )


async def start(app, stack):
    """Start the app; it stops with the stack."""
    try:
        await stack.enter_async_context(app.router.lifespan_context(app))
    except (TypeError, AttributeError) as error:
        if "async" not in str(error) and "__anext__" not in str(error):
            raise
        raise expect.Wrong(
            did="start the app",
            got=f"{type(error).__name__}: {error}",
            expected="lifespan is an async generator: it has one `yield`",
            why="the app could not start at all",
            hint="lifespan needs one `yield`: there the app serves",
            at=sys.modules["app.main"].lifespan,
        ) from None


def expect_ready(app, expected, when):
    """Expect app.state.ready to be `expected` at this moment."""
    main = sys.modules["app.main"]
    expect.equal(
        getattr(app.state, "ready", None),
        expected,
        did=f"app.state.ready, {when}",
        why="who asks too early or too late would be sent to an app that cannot answer",
        hint=hint_for_flag(main, app, expected),
        at=main.lifespan,
    )


def hint_for_flag(main, app, expected):
    """Return what repairs a flag that is not as expected: look first where it went."""
    own, found = getattr(main, "app", None), getattr(app.state, "ready", None)
    if own is not app and expected and getattr(getattr(own, "state", None), "ready", None) is True:
        return "you set the flag of the `app` at the end of the file: set it on the app that comes in as the argument"
    if expected:
        return "the flag is set too late, or not at all: what must be true while the app serves is done before `yield`"
    if found is None:
        return "the flag is False from the beginning: who takes it away?"
    return "what holds while the app serves must end with it, whatever ended it: what runs in every case?"


@exercise("1.4")
class TestLifespan:
    async def test_not_started(self, load, connect):
        """An app that was made but not started is not ready"""
        app = load("main").create_app(load("core.config").Settings())
        expect_ready(app, False, "before the start")
        async with connect(app, lifespan=False) as client:
            await client.get("/health")
            expect_ready(app, False, "after a request to an app whose lifespan never ran")

    async def test_start_and_stop(self, load):
        """It is ready while it serves and not after it stopped, also the second time"""
        app = load("main").create_app(load("core.config").Settings())
        for time in ("first", "second"):
            async with AsyncExitStack() as stack:
                await start(app, stack)
                expect_ready(app, True, f"while it serves, the {time} time")
            expect_ready(app, False, f"after it stopped, the {time} time")

    async def test_stopped_by_an_error(self, load):
        """It is not ready after it was stopped by an error, and the error goes on"""
        kinds = ((KeyboardInterrupt, "an interrupt"), (CancelledError, "a cancelled task"), (OSError, "an OSError"))
        for kind, name in kinds:
            app = load("main").create_app(load("core.config").Settings())
            with expect.raising(
                kind,
                did=f"stop the app by {name}",
                why="an error that is swallowed here lets a broken app look healthy",
                hint="an `except` that does not raise again ends the error there: which word needs none?",
                at=sys.modules["app.main"].lifespan,
            ):
                async with AsyncExitStack() as stack:
                    await start(app, stack)
                    raise kind
            expect_ready(app, False, f"after {name}")

    async def test_own_flag(self, load):
        """Each app has its own flag: starting or stopping one does not change another's"""
        main, config = load("main"), load("core.config")
        first, second = (main.create_app(config.Settings()) for _ in range(2))
        async with AsyncExitStack() as outer:
            async with AsyncExitStack() as inner:
                await start(first, outer)
                expect_ready(first, True, "of the app that was started")
                expect_ready(second, False, "of another app that was not started")
                await start(second, inner)
                expect_ready(second, True, "of the second app, which was started beside the first")
            expect_ready(second, False, "of the second app, which was stopped")
            expect_ready(first, True, "of the first app, which goes on after the second was stopped")

    async def test_the_app_of_the_file(self, load):
        """The `app` at the end of main.py has a flag of its own too: it is ready only when it is started itself"""
        main, config = load("main"), load("core.config")
        own = getattr(main, "app", None)
        state = getattr(own, "state", None)
        if state is None:
            return
        for before in (False, True):
            state.ready = before
            async with AsyncExitStack() as stack:
                await start(main.create_app(config.Settings()), stack)
                self.expect_untouched(main, before, "while another app serves")
            self.expect_untouched(main, before, "after another app was stopped")

    @staticmethod
    def expect_untouched(main, before, when):
        """Expect the flag of the app at the end of main.py as it was before another app was started."""
        expect.equal(
            getattr(main.app.state, "ready", None),
            before,
            did=f"app.main.app.state.ready, which was {before}, {when}",
            why="who asks would be sent to an app that was never started, or kept away from one that serves",
            hint="set only the flag of the app that comes in as the argument of lifespan",
            at=main.lifespan,
        )


@exercise("1.5")
class TestRouter:
    async def test_prefix(self, load, connect):
        """Routes of api_router answer below /api/v1, and only there"""
        with own_app('Settings(api_prefix="/api/v1"), with a route of the check in api_router'):
            await self.expect_prefix(load, connect, "/api/v1")

    async def test_other_prefix(self, load, connect):
        """With another prefix in the settings they answer below that one"""
        with own_app('Settings(api_prefix="/v9"), with a route of the check in api_router'):
            await self.expect_prefix(load, connect, "/v9")

    async def expect_prefix(self, load, connect, prefix):
        router = load.fresh("api").api_router

        async def probe() -> dict[str, bool]:
            return {"found": True}

        router.add_api_route("/probe-of-the-check", probe)
        main, config = load("main"), load("core.config")
        app = main.create_app(config.Settings(api_prefix=prefix))
        why = "clients look for every versioned route below the prefix, and nowhere else"
        hint = "the router is included in create_app, with a prefix: where do the settings hold it?"
        async with connect(app) as client:
            response = await client.get(f"{prefix}/probe-of-the-check")
            expect.status(response, 200, why=why, hint=hint, at=main.create_app)
            other = "/api/v1" if prefix == "/v9" else "/api"
            for path in ("", other, prefix * 2):
                response = await client.get(f"{path}/probe-of-the-check")
                expect.status(response, 404, why=why, hint=hint, at=main.create_app)
            self.expect_documented(app, prefix, main)
            response = await client.get(f"{prefix}/probe-of-the-check/")
            expect.status(
                response,
                404,
                why="a redirect costs a second request, and some clients lose their token on the way",
                hint="one path, one answer: which argument of FastAPI(...) decides about the slash?",
                at=main.create_app,
            )

    def expect_documented(self, app, prefix, main):
        """Expect that the router's route stands in the app's document."""
        paths = sorted(app.openapi().get("paths", {}))
        expect.that(
            f"{prefix}/probe-of-the-check" in paths,
            did="the paths of app.openapi(), with a route of the check in api_router",
            got=f"it is not among {', '.join(paths[:3])}",
            expected=f"{prefix}/probe-of-the-check",
            why="a mounted router answers, but as an app of its own: not documented, and without the app's rules",
            hint="a router is included; what is mounted is another app",
            at=main.create_app,
        )

    async def test_document(self, load, connect):
        """The OpenAPI document lies below the prefix, with title, description and version 1.0.0"""
        for prefix in ("/api/v1", "/v9"):
            with own_app(f"Settings(api_prefix={prefix!r})"):
                await self.expect_document(load, connect, prefix)

    async def expect_document(self, load, connect, prefix):
        main, config = load("main"), load("core.config")
        app = main.create_app(config.Settings(api_prefix=prefix, project_name="Bakery"))
        why = "programs that are made from the document look for it there"
        async with connect(app) as client:
            response = await client.get(f"{prefix}/openapi.json")
            hint = "the fourth argument decides where the document lies: build its path from the prefix of the settings"
            expect.status(response, 200, why=why, hint=hint, at=main.create_app)
            info = expect.body(response).get("info", {})
            response = await client.get("/openapi.json")
            expect.status(response, 404, why="two addresses for one document", hint=hint, at=main.create_app)
        for name, expected in (("title", "Bakery"), ("version", "1.0.0")):
            expect.equal(
                info.get(name),
                expected,
                did=f'the "{name}" in the info of {prefix}/openapi.json',
                why="readers of the documentation must know what they look at",
                hint="the version of the app, three numbers, is another thing than the v1 in its paths"
                if name == "version" and str(info.get(name)).startswith("v")
                else f"FastAPI(...) has an argument for the {name}; the table says what it shall be",
                at=main.create_app,
            )
        expect.that(
            bool(str(info.get("description", "")).strip()),
            did=f'the "description" in the info of {prefix}/openapi.json',
            got="nothing",
            expected="a sentence",
            why="it is the first thing a reader of /docs sees",
            hint="FastAPI(...) has an argument for it; a sentence of your own will do",
            at=main.create_app,
        )

    async def test_pages(self, load, connect):
        """/docs and /redoc show that document"""
        with own_app('Settings(api_prefix="/v9")'):
            await self.expect_pages(load, connect)

    async def expect_pages(self, load, connect):
        main, config = load("main"), load("core.config")
        async with connect(main.create_app(config.Settings(api_prefix="/v9"))) as client:
            for page in ("/docs", "/redoc"):
                response = await client.get(page)
                expect.status(
                    response,
                    200,
                    why="people who want to use your API look there first",
                    hint="leave docs_url and redoc_url as they are, and give openapi_url a path",
                    at=main.create_app,
                )
                expect.that(
                    "/v9/openapi.json" in response.text,
                    response=response,
                    got="a page that reads another document",
                    expected="a page that reads /v9/openapi.json",
                    hint="both pages read the document where openapi_url says: does it begin with the prefix?",
                    at=main.create_app,
                )

    async def test_still_as_before(self, load, connect):
        """The app still starts by lifespan, keeps its settings, and lets a listed origin call"""
        main, config = load("main"), load("core.config")
        settings = config.Settings(cors_origins=[SHOP])
        app = main.create_app(settings)
        expect.that(
            getattr(app.state, "settings", None) is settings,
            did="create_app(settings).state.settings is settings",
            got="something else, or nothing",
            expected="the settings that were handed in",
            why="later code finds the settings of its own app there",
            hint="keep the other lines of create_app as they were in 1.3: which one stored the settings?",
            at=main.create_app,
        )
        expect.equal(
            getattr(app.state, "ready", None),
            False,
            did="app.state.ready, before the start",
            why="who asks too early would be sent to an app that cannot answer",
            hint="keep the other lines of create_app as they were in 1.3: which one sets the flag?",
            at=main.create_app,
        )
        with own_app(f"Settings(cors_origins=[{SHOP!r}])"):
            async with connect(app) as client:
                expect.equal(
                    getattr(app.state, "ready", None),
                    True,
                    did="app.state.ready, while it serves",
                    why="what lifespan opens would be missing in every request",
                    hint="the call of FastAPI(...) had one more argument before: lifespan",
                    at=main.create_app,
                )
                response = await get_from(client, SHOP)
                hint = "keep the other lines of create_app as they were in 1.3: one of them calls add_cors"
                why = "your own web page could not use your API"
                expect.header(response, "access-control-allow-origin", SHOP, why=why, hint=hint, at=main.create_app)

    async def test_health(self, client, load):
        """GET /health stays without a prefix, and a slash behind it gives 404, no redirect"""
        at = load("main").create_app
        why = "a redirect costs a second request, and some clients lose their token on the way"
        known = "machines ask for /health, in every version"
        hint = "the route stays as it was: on the app itself, without a prefix"
        response = await client.get("/health")
        expect.status(response, 200, why=known, hint=hint, at=at)
        expect.json(response, {"status": "ok"}, why=known, hint="the answer of /health stays as it was in 1.3", at=at)
        expect.status(await client.get("/api/v1/health"), 404, why="one path, one answer", hint=hint, at=at)
        response = await client.get("/health/")
        hint = "one path, one answer: which argument of FastAPI(...) decides about the slash?"
        expect.status(response, 404, why=why, hint=hint, at=at)
