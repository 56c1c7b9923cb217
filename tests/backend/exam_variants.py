"""The finished backend with one fault each: what the exam must find, and by which criterion."""

# ruff: noqa: E501 # what stands in the app, letter by letter

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbook.practice.edits import EDITS
from workbook.practice.faults import FOUND_BY
from workbook.practice.sabotage import Edit


@dataclass(frozen=True)
class Variant:
    """One broken backend.

    Args:
        name: what is wrong.
        fails: the names of the criteria that find it.
        edits: the changes of the code.
        settings: other settings.
        rounds: the cost of a password's hash.
    """

    name: str
    fails: frozenset[str]
    edits: tuple[Edit, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 4


def fault(name: str, fails: str, *edits: Edit, rounds: int = 4, **settings: Any) -> Variant:
    """Describe a variant; the criteria's names have spaces between them."""
    return Variant(name, frozenset(fails.split()), edits, settings, rounds)


def pooled(name: str, rounds: int = 4) -> Variant:
    """Describe a variant that is a fault of chapter 15, too."""
    return Variant(name, frozenset(FOUND_BY[name]), EDITS[name], rounds=rounds)


VARIANTS = (
    # basics
    fault("health elsewhere", "health", ("core/health.py", '@router.get("/health")', '@router.get("/healthz")')),
    fault(
        "every origin is let in",
        "no_origin_is_let_in",
        ("main.py", "allow_origins=settings.cors_origins,", 'allow_origin_regex=".*",'),
    ),
    fault("redirects", "no_redirects", ("main.py", "redirect_slashes=False", "redirect_slashes=True")),
    fault(
        "an undocumented route",
        "documents",
        ("auth/router.py", '"/logout", status_code', '"/logout", include_in_schema=False, status_code'),
    ),
    fault(
        "no page of documents",
        "pages_of_documents",
        ("main.py", "redirect_slashes=False", "redirect_slashes=False, docs_url=None"),
    ),
    fault(
        "errors without a request id",
        "one_error_body fields_are_named names_are_taken_once",
        ("core/handlers.py", ', "request_id": request.state.request_id, **extra}', ", **extra}"),
    ),
    fault(
        "validation that names no field",
        "fields_are_named",
        ("core/handlers.py", '"The request is malformed; see errors."\n', '"Malformed."\n    public = []\n'),
    ),
    pooled("validation that repeats the input"),
    fault(
        "the framework's 400",
        "unreadable_bodies",
        ("core/handlers.py", "HTTP_400_BAD_REQUEST and raised_by_framework(error)", "HTTP_400_BAD_REQUEST and False"),
    ),
    pooled("a 500 that shows the traceback"),
    fault(
        "tokens are compressed",
        "secrets_are_not_compressed",
        ("main.py", 'secret_paths=f"{settings.api_prefix}/auth"', 'secret_paths="/none"'),
    ),
    fault(
        "signing out of nothing",
        "missing_fields",
        ("auth/schemas.py", "Field(max_length=MAX_TOKEN_LENGTH", 'Field("", max_length=MAX_TOKEN_LENGTH'),
    ),
    # passwords and users
    fault("no capital is asked for", "passwords", ("users/schemas.py", "character.isupper()", "character")),
    fault(
        "characters counted for bytes",
        "passwords no_crash",
        ("users/schemas.py", "len(value.encode()) > MAX", "len(value) > MAX"),
    ),
    fault(
        "the end of a password is not compared",
        "the_whole_password_counts",
        (
            "core/security.py",
            "    if hashed_password is None or not can_be_hashed(password):",
            '    password = password.encode()[:72].decode(errors="ignore")\n'
            "    if hashed_password is None or not can_be_hashed(password):",
        ),
    ),
    fault(
        "strange passwords crash the log-in",
        "hostile_logins no_crash",
        (
            "core/security.py",
            "if hashed_password is None or not can_be_hashed(password):",
            "if hashed_password is None:",
        ),
        ("core/security.py", "    except ValueError:  # what is stored", "    except KeyError:  # what is stored"),
    ),
    pooled("an unknown name costs nothing", rounds=11),
    pooled("the hash is shown"),
    fault(
        "names as they were typed",
        "one_spelling names_are_taken_once",
        ("users/schemas.py", "Annotated[EmailStr, AfterValidator(str.lower)]", "EmailStr"),
        ("users/schemas.py", "to_lower=True, ", ""),
        ("users/models.py", "return value.lower()", "return value"),
    ),
    fault(
        "what is not sent becomes null",
        "what_is_sent_is_changed change_an_item",
        ("db/crud.py", "model_dump(exclude_unset=True, ", "model_dump("),
    ),
    fault(
        "null is taken",
        "null_is_a_value",
        (
            "users/schemas.py",
            '    @field_validator("email", "username")\n    @classmethod\n    def refuse_null(',
            "    def x(",
        ),
    ),
    fault(
        "a taken name crashes the change",
        "taken_names_cannot_be_chosen admins_change_users no_crash",
        (
            "users/service.py",
            "            with refuse_duplicates():\n                await user_crud.update",
            "            if True:\n                await user_crud.update",
        ),
    ),
    fault(
        "users are made with 200",
        "admins_create_users",
        (
            "users/router.py",
            "    status_code=status.HTTP_201_CREATED,\n    dependencies=WRITE_USERS,\n",
            "    status_code=200,\n    dependencies=WRITE_USERS,\n",
        ),
    ),
    fault(
        "admins read nobody but themselves",
        "users_by_id",
        (
            "users/dependencies.py",
            "    if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):",
            "    if user_id != current_user.id:",
        ),
    ),
    fault(
        "the number of all users, whatever is searched",
        "admins_list_users",
        ("users/service.py", "await user_crud.count(self.session, where=where)", "await user_crud.count(self.session)"),
    ),
    fault(
        "admins give weak passwords",
        "admins_change_users",
        ("users/schemas.py", "    password: Password | None = Field(", "    password: str | None = Field("),
    ),
    fault(
        "pages of users without bounds",
        "bounds_of_user_pages",
        (
            "users/schemas.py",
            '    """Which part of the list of users, and in which order."""\n',
            '    """Which part of the list of users, and in which order."""\n\n    limit: int = 20\n',
        ),
    ),
    pooled("two at the same moment"),
    fault(
        "nothing is saved",
        "what_is_answered_is_saved the_current_user create_and_read",
        (
            "db/session.py",
            "            raise\n        await commit(session)\n",
            "            raise\n        await session.flush()\n",
        ),
    ),
    fault(
        "times without an offset",
        "the_current_user",
        (
            "db/base.py",
            "return time.replace(tzinfo=UTC) if time.tzinfo is None else",
            "return time.replace(tzinfo=None) if True else",
        ),
    ),
    # signing in
    pooled("the log-in tells who has an account"),
    fault(
        "no challenge",
        "nobody_gets_401 who_has_an_account",
        ("core/exceptions.py", '= {"WWW-Authenticate": "Bearer"}', "= {}"),
    ),
    fault(
        "tokens may be stored",
        "register login_by_form refresh_works_once",
        ("auth/router.py", "response.headers.update(NO_STORE)", "response.headers.update({})"),
    ),
    fault(
        "log-in by user name only",
        "login_by_form",
        ("users/crud.py", "or_(User.email == name, User.username == name)", "User.username == name"),
    ),
    pooled("refresh and access are the same"),
    fault(
        "a refresh token works again and again",
        "refresh_works_once refresh_races reuse_ends_the_family",
        (
            "auth/crud.py",
            ".where(LoginSession.id == session_id, LoginSession.current_jti == old)",
            ".where(LoginSession.id == session_id)",
        ),
    ),
    pooled("read, then write: two refreshes at once"),
    pooled("the revocation is rolled back"),
    fault(
        "reuse ends every session",
        "reuse_ends_the_family",
        (
            "auth/service.py",
            "await login_session_crud.end(self.session, claims.sid, claims.sub)\n        raise Reused",
            "await login_session_crud.end_all(self.session, claims.sub)\n        raise Reused",
        ),
    ),
    pooled("signing out ends nothing"),
    pooled("a new password leaves the sessions"),
    fault(
        "a new password without the old one",
        "change_password",
        ("auth/service.py", "        if not valid:\n            raise WrongPassword\n", ""),
    ),
    pooled("who is switched off goes on"),
    pooled("the log-in tells who is switched off"),
    pooled("switched off and on, and the session lives"),
    pooled("the way back tells who has an account"),
    fault(
        "any reset token is taken",
        "invented_reset_token",
        (
            "auth/password_reset.py",
            "        if user is None or not user.is_active:\n            raise InvalidResetToken\n",
            "        if user is None:\n            return\n",
        ),
    ),
    # tokens
    pooled("signatures are not verified"),
    pooled("the algorithm none is taken"),
    pooled("the token names its key"),
    pooled("the key is a word"),
    pooled("the token brings its key"),
    fault(
        "tokens never expire",
        "signed_but_wrong",
        ("core/security.py", "algorithms=[ALGORITHM])", 'algorithms=[ALGORITHM], options={"verify_exp": False})'),
    ),
    fault(
        "a claim may be missing",
        "signed_but_wrong",
        ("core/security.py", "    iat: int\n    exp: int\n", "    iat: int\n    exp: int = 0\n"),
    ),
    fault("access for a year", "claims", ("auth/tokens.py", "timedelta(minutes=self", "timedelta(days=12 * self")),
    fault("a key that everybody knows", "guessed_keys", secret_key="secret"),
    fault(
        "a token that is none crashes",
        "hostile_tokens nobody_gets_401 no_crash",
        (
            "core/security.py",
            "    try:\n        if not key or len(token)",
            '    _header, _claims, _signature = token.split(".")\n    try:\n        if not key or len(token)',
        ),
    ),
    # items
    pooled("the owner is the client's choice"),
    pooled("the owner can be changed"),
    fault(
        "any address",
        "bounds_of_items",
        (
            "items/schemas.py",
            "    url: Url | None = None\n    price: Price\n",
            "    url: str | None = None\n    price: Price\n",
        ),
    ),
    fault(
        "prices below zero",
        "bounds_of_items",
        ("items/schemas.py", "Field(ge=0, max_digits=10", "Field(max_digits=10"),
    ),
    fault("prices as numbers", "create_and_read", ("items/schemas.py", "    price: Decimal\n", "    price: float\n")),
    fault(
        "204 that is 200",
        "delete_an_item",
        (
            "items/router.py",
            '@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT,',
            '@router.delete("/{item_id}", status_code=200,',
        ),
    ),
    fault(
        "pages without bounds",
        "bounds_of_pages bounds_of_user_pages",
        ("core/pagination.py", "ge=1, le=MAX_LIMIT)", "ge=1)"),
    ),
    fault(
        "the total of one page",
        "pages_and_total",
        (
            "items/service.py",
            "return items, await item_crud.count(self.session, where=where)",
            "return items, len(items)",
        ),
    ),
    fault(
        "a minus changes nothing",
        "sorted_lists",
        ("db/crud.py", 'column.desc() if sort.startswith("-") else column.asc()', "column.asc()"),
    ),
    pooled("a search that is a pattern"),
    pooled("a search in SQL"),
    pooled("sorted by the hash"),
    fault(
        "an id that the database cannot hold",
        "impossible_items no_crash",
        ("items/dependencies.py", "Annotated[int, Path(ge=1, le=MAX_ID)]", "Annotated[int, Path()]"),
    ),
    fault(
        "nothing is compressed",
        "long_lists_are_compressed",
        ("core/middleware.py", "GZipMiddleware(app, minimum_size=1000)", "app"),
    ),
    # permissions
    fault(
        "everybody creates users",
        "users_are_for_admins nobody_gets_401",
        (
            "users/router.py",
            "    status_code=status.HTTP_201_CREATED,\n    dependencies=WRITE_USERS,\n",
            "    status_code=status.HTTP_201_CREATED,\n",
        ),
    ),
    fault(
        "everybody reads users",
        "users_are_for_admins other_people",
        ("users/permissions.py", "Role.USER: frozenset(),", "Role.USER: frozenset({Permission.READ_USERS}),"),
    ),
    fault(
        "validation comes before permission",
        "users_are_for_admins",
        (
            "users/router.py",
            'async def create_user(\n    data: UserCreate, service: UserServiceDep, background: BackgroundTasks\n) -> User:\n    """Create a user."""\n',
            "async def create_user(\n    data: UserCreate, service: UserServiceDep, background: BackgroundTasks, user: CurrentUser\n) -> User:\n"
            '    """Create a user."""\n    RequirePermissions(Permission.WRITE_USERS)(user)\n',
        ),
        (
            "users/router.py",
            "    status_code=status.HTTP_201_CREATED,\n    dependencies=WRITE_USERS,\n",
            "    status_code=status.HTTP_201_CREATED,\n",
        ),
    ),
    fault(
        "a role is for ever",
        "roles_count_at_once",
        (
            "users/service.py",
            "        values = {}\n",
            "        values = {}\n        data.model_fields_set.discard('role')\n",
        ),
    ),
    pooled("anybody's account by its id"),
    pooled("anybody's item by its id"),
    pooled("anybody's item can be deleted"),
    pooled("another one's item is 403"),
    fault(
        "admins see their own items only",
        "admins_see_items admins_list_all_items",
        (
            "items/service.py",
            "        if has_permission(self.user, Permission.MANAGE_ITEMS):\n            return []\n",
            "",
        ),
    ),
    pooled("everybody makes an admin of themselves"),
    pooled("everybody signs up as an admin"),
    pooled("the last admin can go"),
    fault(
        "a search through everybody's items",
        "lists_are_ones_own",
        (
            "items/service.py",
            "            where.append(item_crud.matches(page.q))",
            "            where = [item_crud.matches(page.q)]",
        ),
    ),
    fault(
        "the total of everybody's items",
        "lists_are_ones_own pages_and_total",
        (
            "items/service.py",
            "return items, await item_crud.count(self.session, where=where)",
            "return items, await item_crud.count(self.session)",
        ),
    ),
    fault(
        "who is deleted is still there",
        "admins_delete_users",
        ("users/crud.py", "return select(User).where(User.deleted_at.is_(None))", "return select(User)"),
    ),
    fault(
        "the names of who is deleted are free",
        "names_of_deleted_users",
        (
            "users/crud.py",
            "        user.is_active = False\n",
            '        user.is_active = False\n        user.email = user.username = f"gone{user.id}"\n',
        ),
    ),
    # limits
    fault(
        "no limits",
        "too_many_tries too_many_sign_ups too_many_refreshes too_many_resets",
        rate_limit_enabled=False,
    ),
    fault(
        "anybody signs up as often as they like",
        "too_many_sign_ups",
        ("auth/limits.py", '        await self.tries.count("register", data.email)\n', ""),
    ),
    fault(
        "anybody refreshes as often as they like",
        "too_many_refreshes",
        ("auth/limits.py", '        await self.tries.count("refresh", named)\n', ""),
    ),
    fault(
        "anybody's mail box is filled",
        "too_many_resets",
        ("auth/router.py", '    await tries.count("password-reset", data.email)\n', ""),
    ),
    fault(
        "limits by an address that anybody can write",
        "too_many_tries",
        (
            "auth/dependencies.py",
            "        if not is_trusted(address, request.app.state.settings):\n            break\n",
            "",
        ),
        ("core/rate_limit.py", "        if identity:\n", '        if identity == "nobody":\n'),
    ),
    # for those who run it
    fault(
        "every request gets an id of its own",
        "ids_that_come_in",
        ("core/context.py", "    if len(sent) == 1 and re", "    if len(sent) == 2 and re"),
    ),
    fault(
        "one id for all",
        "ids_that_are_made",
        ("core/context.py", "    return uuid4().hex", '    return "00000000"'),
    ),
    fault(
        "any text is an id",
        "ids_that_are_none",
        ("core/context.py", '"[A-Za-z0-9_-]{8,64}"', '".*"'),
    ),
    fault(
        "an id without an end",
        "ids_that_are_none",
        ("core/context.py", "{8,64}", "{8,}"),
    ),
    fault(
        "an id in the header only",
        "ids_that_come_in ids_that_are_made",
        ("core/handlers.py", '"request_id": request.state.request_id', '"request_id": str(id(request))'),
    ),
    fault(
        "numbers for everybody",
        "numbers_are_not_public",
        ("core/health.py", "    if not expected or not compare_digest(", "    if expected and not compare_digest("),
    ),
    fault("never ready", "ready no_crash", ("main.py", "        app.state.ready = True\n", "")),
    fault(
        "types are guessed",
        "headers_that_protect",
        ("core/security_headers.py", '            "X-Content-Type-Options": "nosniff",\n', ""),
    ),
    fault(
        "a frame around it",
        "headers_that_protect",
        ("core/security_headers.py", '            "X-Frame-Options": "DENY",\n', ""),
    ),
    fault(
        "pages without a policy",
        "headers_that_protect",
        ("core/security_headers.py", '            "Content-Security-Policy":', '            "X-Nothing":'),
    ),
    fault(
        "errors without the headers that protect",
        "headers_that_protect",
        ("core/security_headers.py", '"http.response.start":', '"http.response.start" and message["status"] < 400:'),
    ),
    fault(
        "a promise of HTTPS over HTTP",
        "promises_of_https",
        ("core/security_headers.py", "        if is_https(scope, self.settings):", "        if True:"),
    ),
    fault(
        "a body of any size",
        "large_bodies large_bodies_in_pieces",
        ("main.py", "    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)\n", ""),
    ),
    fault(
        "a body of any size, in pieces",
        "large_bodies_in_pieces",
        ("core/body_limit.py", "            if received > self.max_bytes:", "            if False:"),
    ),
    fault(
        "too large, in words of its own",
        "large_bodies large_bodies_in_pieces",
        ("core/body_limit.py", '"body_too_large"', '""'),
    ),
)
