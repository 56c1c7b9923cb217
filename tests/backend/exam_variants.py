"""The finished backend with one fault each: what the exam must find, and by which criterion."""

# ruff: noqa: E501 # what stands in the app, letter by letter

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbook.sabotage import Edit, Fault


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


LEAK = (
    "core/middleware.py",
    "await unexpected_error(Request(scope))(scope, receive, send_with_id)",
    "import traceback\n            from app.core.handlers import error_response\n"
    '            said = error_response(Request(scope), 500, "internal_error", traceback.format_exc())\n'
    "            await said(scope, receive, send_with_id)",
)
OPEN_DOOR = "    except IntegrityError as error:\n        raise UserExists from error\n"

VARIANTS = (
    # basics
    fault("health elsewhere", "health", ("main.py", '@app.get("/health"', '@app.get("/healthz"')),
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
        "errors without a request id",
        "one_error_body fields_are_named names_are_taken_once",
        ("core/handlers.py", ', "request_id": request.state.request_id, **extra}', ", **extra}"),
    ),
    fault(
        "validation that names no field",
        "fields_are_named",
        ("core/handlers.py", '"The request is malformed; see errors."\n', '"Malformed."\n    public = []\n'),
    ),
    fault(
        "validation that repeats the input",
        "input_is_not_repeated",
        ("core/handlers.py", 'for key in ("loc", "msg", "type")}', 'for key in ("loc", "msg", "type", "input")}'),
        ("core/handlers.py", '"msg": "the body cannot be read",', '"msg": "the body cannot be read", "input": "",'),
    ),
    fault(
        "the framework's 400",
        "unreadable_bodies",
        ("core/handlers.py", "HTTP_400_BAD_REQUEST and raised_by_framework(error)", "HTTP_400_BAD_REQUEST and False"),
    ),
    fault(
        "a 500 that shows the traceback",
        "no_internals no_crash names_are_taken_once",
        LEAK,
        (
            "users/service.py",
            OPEN_DOOR,
            "    except ZeroDivisionError as error:\n        raise UserExists from error\n",
        ),
    ),
    fault(
        "tokens are compressed",
        "secrets_are_not_compressed",
        ("main.py", 'secret_paths=f"{settings.api_prefix}/auth"', 'secret_paths="/none"'),
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
    fault(
        "an unknown name costs nothing",
        "equal_work",
        (
            "core/security.py",
            "    if hashed_password is None or not",
            "    if hashed_password is None:\n        return False, None\n    if not",
        ),
        rounds=12,
    ),
    fault(
        "the hash is shown",
        "no_secrets_in_answers the_current_user register",
        ("users/schemas.py", "    updated_at: datetime\n", "    updated_at: datetime\n    hashed_password: str\n"),
    ),
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
        "two at the same moment",
        "sign_ups_at_once no_crash",
        (
            "users/service.py",
            "        hashed_password = await hash_password(data.password)\n        with refuse_duplicates():\n            return",
            "        if await user_crud.get_by_identifier(self.session, data.username):\n            raise UserExists\n"
            "        if await user_crud.get_by_email(self.session, data.email):\n            raise UserExists\n"
            "        hashed_password = await hash_password(data.password)\n        if True:\n            return",
        ),
    ),
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
    fault(
        "the log-in tells who has an account",
        "who_has_an_account",
        (
            "auth/service.py",
            "        if user is None or not valid:\n            raise InvalidCredentials",
            "        if user is None:\n            raise InvalidRefreshToken\n        if not valid:\n            raise InvalidCredentials",
        ),
    ),
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
    fault(
        "refresh and access are the same",
        "tokens_have_one_use",
        ("core/security.py", "    if claims.type is not token_type:\n        raise InvalidToken\n", ""),
    ),
    fault(
        "a refresh token works again and again",
        "refresh_works_once refresh_races reuse_ends_the_family",
        (
            "auth/crud.py",
            ".where(LoginSession.id == session_id, LoginSession.current_jti == old)",
            ".where(LoginSession.id == session_id)",
        ),
    ),
    fault(
        "read, then write: two refreshes at once",
        "refresh_races",
        (
            "auth/crud.py",
            "        changed = await self._count_changed(\n            session,",
            "        login = await session.get(LoginSession, session_id)\n"
            "        if login is None or login.current_jti != old:\n            return False\n"
            "        await session.commit()\n        import asyncio\n\n        await asyncio.sleep(0.3)\n"
            "        changed = await self._count_changed(\n            session,",
        ),
        (
            "auth/crud.py",
            ".where(LoginSession.id == session_id, LoginSession.current_jti == old)",
            ".where(LoginSession.id == session_id)",
        ),
    ),
    fault(
        "the revocation is rolled back",
        "reuse_ends_the_family",
        (
            "auth/exceptions.py",
            "    keep_changes: ClassVar[bool] = True\n",
            "    keep_changes: ClassVar[bool] = False\n",
        ),
    ),
    fault(
        "reuse ends every session",
        "reuse_ends_the_family",
        (
            "auth/service.py",
            "await login_session_crud.end(self.session, claims.sid, claims.sub)\n        raise Reused",
            "await login_session_crud.end_all(self.session, claims.sub)\n        raise Reused",
        ),
    ),
    fault(
        "signing out ends nothing",
        "logout",
        (
            "auth/service.py",
            "            return\n        await login_session_crud.end(",
            "            return\n        login_session_crud.end(",
        ),
        (
            "auth/service.py",
            "claims.sid, claims.sub)\n\n    async def change",
            "claims.sid, claims.sub).close()\n\n    async def change",
        ),
    ),
    fault(
        "a new password leaves the sessions",
        "change_password",
        (
            "auth/service.py",
            "(data.new_password)\n        await login_session_crud.end_all(self.session, user.id)\n",
            "(data.new_password)\n",
        ),
    ),
    fault(
        "a new password without the old one",
        "change_password",
        ("auth/service.py", "        if not valid:\n            raise WrongPassword\n", ""),
    ),
    fault(
        "who is switched off goes on",
        "switched_off_at_once",
        ("auth/dependencies.py", "    if not user.is_active:\n        raise InactiveUser\n", ""),
    ),
    fault(
        "the log-in tells who is switched off",
        "switched_off_at_once",
        (
            "auth/service.py",
            "        if user is None or not valid:\n            raise InvalidCredentials\n        if not user.is_active:\n            raise InactiveLogin\n",
            "        if user and not user.is_active:\n            raise InactiveLogin\n        if user is None or not valid:\n            raise InvalidCredentials\n",
        ),
    ),
    fault(
        "switched off and on, and the session lives",
        "switched_on_again",
        ("users/service.py", "if values or not user.is_active:", "if values:"),
    ),
    fault(
        "the way back tells who has an account",
        "forgotten_password",
        (
            "auth/router.py",
            '    await tries.count("password-reset", data.email)\n',
            '    await tries.count("password-reset", data.email)\n    from app.users.crud import user_crud\n\n'
            "    if await user_crud.get_by_email(service.session, data.email) is None:\n        raise SessionNotFound\n",
        ),
    ),
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
    fault(
        "signatures are not verified",
        "changed_tokens unsigned_tokens",
        ("core/security.py", "algorithms=[ALGORITHM])", 'algorithms=[ALGORITHM], options={"verify_signature": False})'),
    ),
    fault(
        "the algorithm none is taken",
        "unsigned_tokens",
        (
            "core/security.py",
            "        if jwt.get_unverified_header(token) != TOKEN_HEADER:\n            raise InvalidToken\n        claims = ",
            '        if jwt.get_unverified_header(token).get("alg", "").lower() == "none":\n'
            "            return TokenClaims.model_validate(jwt.get_unverified_claims(token))\n        claims = ",
        ),
    ),
    fault(
        "the token brings its key",
        "keys_from_the_token",
        (
            "core/security.py",
            "        if jwt.get_unverified_header(token) != TOKEN_HEADER:\n            raise InvalidToken\n",
            '        if "jwk" in jwt.get_unverified_header(token):\n            key = "key"\n',
        ),
    ),
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
    fault(
        "the owner is the client's choice",
        "create_and_read",
        (
            "items/schemas.py",
            'the owner is always the signed-in user."""\n',
            'or not."""\n\n    owner_id: int | None = None\n',
        ),
        ("items/service.py", "data, owner_id=self.user.id)", "data)"),
        (
            "db/crud.py",
            "row = self.model(**data.model_dump(exclude=self.unstored_fields), **values)",
            "row = self.model(**data.model_dump(exclude=self.unstored_fields) | values)",
        ),
    ),
    fault(
        "the owner can be changed",
        "change_an_item",
        (
            "items/schemas.py",
            "    price: Price | None = None\n",
            "    price: Price | None = None\n    owner_id: int | None = None\n",
        ),
    ),
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
    fault("pages without bounds", "bounds_of_pages", ("core/pagination.py", "ge=1, le=MAX_LIMIT)", "ge=1)")),
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
    fault("a search that is a pattern", "search", ("items/crud.py", "autoescape=True", "autoescape=False")),
    fault(
        "a search in SQL",
        "injections search",
        (
            "items/crud.py",
            "        columns = (Item.title, Item.description)\n        return or_(*(column.icontains(text, autoescape=True) for column in columns))",
            "        from sqlalchemy import literal_column\n\n        columns = \"title || coalesce(description, '')\"\n"
            "        return literal_column(f\"(lower({columns}) LIKE lower('%{text}%'))\")",
        ),
    ),
    fault(
        "sorted by the hash",
        "sort_what_may_be_seen",
        ("users/schemas.py", '"id", "-id", "email"', '"id", "-id", "hashed_password", "-hashed_password", "email"'),
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
        "anybody's account by its id",
        "other_people",
        (
            "users/dependencies.py",
            "if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):",
            "if current_user.id < 1:",
        ),
    ),
    fault(
        "anybody's item by its id",
        "other_peoples_items",
        ("items/service.py", "where = [Item.id == item_id, *self.visible()]", "where = [Item.id == item_id]"),
    ),
    fault(
        "anybody's item can be deleted",
        "other_peoples_items",
        (
            "items/router.py",
            'async def delete_item(item: VisibleItem, service: ItemServiceDep) -> None:\n    """Delete an item."""\n',
            'async def delete_item(item_id: int, service: ItemServiceDep) -> None:\n    """Delete an item."""\n'
            "    from app.items.exceptions import ItemNotFound\n\n    item = await item_crud.get(service.session, item_id)\n"
            "    if item is None:\n        raise ItemNotFound\n",
        ),
    ),
    fault(
        "another one's item is 403",
        "other_peoples_items",
        (
            "items/service.py",
            "        if not items:\n            raise ItemNotFound\n",
            "        if not items and await item_crud.get(self.session, item_id):\n            from app.core.exceptions import Forbidden\n\n"
            "            raise Forbidden\n        if not items:\n            raise ItemNotFound\n",
        ),
    ),
    fault(
        "admins see their own items only",
        "admins_see_items admins_list_all_items",
        (
            "items/service.py",
            "        if has_permission(self.user, Permission.MANAGE_ITEMS):\n            return []\n",
            "",
        ),
    ),
    fault(
        "everybody makes an admin of themselves",
        "nobody_promotes_themselves",
        (
            "users/router.py",
            "async def update_me(user: CurrentUser, data: UserUpdate,",
            "async def update_me(user: CurrentUser, data: AdminUserUpdate,",
        ),
    ),
    fault(
        "everybody signs up as an admin",
        "nobody_signs_up_as_an_admin",
        (
            "auth/schemas.py",
            'role and is_active are not theirs to choose."""\n',
            'as what they like."""\n\n    role: str = "user"\n',
        ),
    ),
    fault(
        "the last admin can go",
        "the_last_admin",
        ("users/service.py", "            raise LastAdmin\n", "            return\n"),
    ),
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
    fault("no limits", "too_many_tries", rate_limit_enabled=False),
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
)

# Chapter 15: one fault of each topic is in a learner's sabotaged app. Each is a variant from above, so the exam proves
# that it can be found over HTTP; topics change different lines, so that any choice fits together.
TOPICS: dict[str, tuple[str, ...]] = {
    "tokens": (
        "refresh and access are the same",
        "signatures are not verified",
        "the algorithm none is taken",
        "the token brings its key",
    ),
    "objects": (
        "anybody's account by its id",
        "anybody's item by its id",
        "anybody's item can be deleted",
        "another one's item is 403",
    ),
    "assignment": (
        "everybody makes an admin of themselves",
        "the owner is the client's choice",
        "the owner can be changed",
    ),
    "enumeration": (
        "the log-in tells who has an account",
        "the way back tells who has an account",
        "the log-in tells who is switched off",
    ),
    "race": ("two at the same moment", "read, then write: two refreshes at once", "the last admin can go"),
    "injection": ("a search in SQL", "a search that is a pattern", "sorted by the hash"),
    "leak": ("the hash is shown", "validation that repeats the input", "a 500 that shows the traceback"),
    "sessions": (
        "the revocation is rolled back",
        "signing out ends nothing",
        "a new password leaves the sessions",
        "switched off and on, and the session lives",
        "who is switched off goes on",
    ),
}
BY_NAME = {variant.name: variant for variant in VARIANTS}
POOL: dict[str, tuple[Fault, ...]] = {
    topic: tuple(Fault(name, BY_NAME[name].edits) for name in names) for topic, names in TOPICS.items()
}
