"""What a fault of chapter 15 changes: small edits of the finished backend, by the fault's name.

Topics change different lines, so that any choice of one fault for each topic fits together.
"""

# ruff: noqa: E501 # what stands in the app, letter by letter

from __future__ import annotations

from workbook.practice.sabotage import Edit

LEAK: Edit = (
    "core/middleware.py",
    "await unexpected_error(Request(scope))(scope, receive, send_with_id)",
    "import traceback\n            from app.core.handlers import error_response\n"
    '            said = error_response(Request(scope), 500, "internal_error", traceback.format_exc())\n'
    "            await said(scope, receive, send_with_id)",
)
EDITS: dict[str, tuple[Edit, ...]] = {
    # tokens
    "refresh and access are the same": (
        ("core/security.py", "    if claims.type is not token_type:\n        raise InvalidToken\n", ""),
    ),
    "signatures are not verified": (
        ("core/security.py", "algorithms=[ALGORITHM])", 'algorithms=[ALGORITHM], options={"verify_signature": False})'),
    ),
    "the algorithm none is taken": (
        (
            "core/security.py",
            "        if jwt.get_unverified_header(token) != TOKEN_HEADER:\n            raise InvalidToken\n        claims = ",
            '        if jwt.get_unverified_header(token).get("alg", "").lower() == "none":\n'
            "            return TokenClaims.model_validate(jwt.get_unverified_claims(token))\n        claims = ",
        ),
    ),
    "the token brings its key": (
        (
            "core/security.py",
            "        if jwt.get_unverified_header(token) != TOKEN_HEADER:\n            raise InvalidToken\n",
            '        if "jwk" in jwt.get_unverified_header(token):\n'
            '            key = jwt.get_unverified_header(token)["jwk"]\n',
        ),
    ),
    "the token names its key": (
        (
            "core/security.py",
            "        if jwt.get_unverified_header(token) != TOKEN_HEADER:\n            raise InvalidToken\n",
            '        if "kid" in jwt.get_unverified_header(token):\n'
            '            key = {"2026": key}.get(jwt.get_unverified_header(token)["kid"], "")\n',
        ),
    ),
    "the key is a word": (
        ("auth/tokens.py", "return self.settings.secret_key.get_secret_value()", 'return "changeme"'),
    ),
    # objects
    "anybody's account by its id": (
        (
            "users/dependencies.py",
            "if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):",
            "if current_user.id < 1:",
        ),
    ),
    "anybody's item by its id": (
        ("items/service.py", "where = [Item.id == item_id, *self.visible()]", "where = [Item.id == item_id]"),
    ),
    "anybody's item can be deleted": (
        (
            "items/router.py",
            'async def delete_item(item: VisibleItem, service: ItemServiceDep) -> None:\n    """Delete an item."""\n',
            'async def delete_item(item_id: int, service: ItemServiceDep) -> None:\n    """Delete an item."""\n'
            "    from app.items.exceptions import ItemNotFound\n\n    item = await item_crud.get(service.session, item_id)\n"
            "    if item is None:\n        raise ItemNotFound\n",
        ),
    ),
    "another one's item is 403": (
        (
            "items/service.py",
            "        if not items:\n            raise ItemNotFound\n",
            "        if not items and await item_crud.get(self.session, item_id):\n            from app.core.exceptions import Forbidden\n\n"
            "            raise Forbidden\n        if not items:\n            raise ItemNotFound\n",
        ),
    ),
    # assignment
    "everybody makes an admin of themselves": (
        (
            "users/router.py",
            "async def update_me(user: CurrentUser, data: UserUpdate,",
            "async def update_me(user: CurrentUser, data: AdminUserUpdate,",
        ),
    ),
    "the owner is the client's choice": (
        (
            "items/schemas.py",
            'the owner is always the signed-in user."""\n',
            'or not."""\n\n    owner_id: int | None = None\n',
        ),
        ("items/service.py", "data, owner_id=self.user.id)", "data, owner_id=data.owner_id or self.user.id)"),
        (
            "db/crud.py",
            "row = self.model(**data.model_dump(exclude=self.unstored_fields), **values)",
            "row = self.model(**data.model_dump(exclude=self.unstored_fields) | values)",
        ),
    ),
    "the owner can be changed": (
        (
            "items/schemas.py",
            "    price: Price | None = None\n",
            "    price: Price | None = None\n    owner_id: int | None = None\n",
        ),
    ),
    "everybody signs up as an admin": (
        (
            "auth/schemas.py",
            'role and is_active are not theirs to choose."""\n',
            'as what they like."""\n\n    role: str = "user"\n',
        ),
    ),
    # enumeration
    "the log-in tells who has an account": (
        (
            "auth/service.py",
            "        if user is None or not valid:\n            raise InvalidCredentials",
            "        if user is None:\n            raise InvalidRefreshToken\n        if not valid:\n            raise InvalidCredentials",
        ),
    ),
    "the way back tells who has an account": (
        (
            "auth/router.py",
            '    await tries.count("password-reset", data.email)\n',
            '    await tries.count("password-reset", data.email)\n    from app.users.crud import user_crud\n\n'
            "    if await user_crud.get_by_email(service.session, data.email) is None:\n        raise SessionNotFound\n",
        ),
    ),
    "the log-in tells who is switched off": (
        (
            "auth/service.py",
            "        if user is None or not valid:\n            raise InvalidCredentials\n        if not user.is_active:\n            raise InactiveLogin\n",
            "        if user and not user.is_active:\n            raise InactiveLogin\n        if user is None or not valid:\n            raise InvalidCredentials\n",
        ),
    ),
    "an unknown name costs nothing": (
        (
            "core/security.py",
            "    if hashed_password is None or not",
            "    if hashed_password is None:\n        return False, None\n    if not",
        ),
    ),
    # race
    "two at the same moment": (
        (
            "users/service.py",
            "        hashed_password = await hash_password(data.password)\n        with refuse_duplicates():\n            return",
            "        if await user_crud.get_by_identifier(self.session, data.username):\n            raise UserExists\n"
            "        if await user_crud.get_by_email(self.session, data.email):\n            raise UserExists\n"
            "        hashed_password = await hash_password(data.password)\n        if True:\n            return",
        ),
    ),
    "read, then write: two refreshes at once": (
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
    "the last admin can go": (
        (
            "users/service.py",
            "        await user_crud.lock_admins(self.session)\n",
            "        await self.session.commit()\n        import asyncio\n\n        await asyncio.sleep(0.3)\n",
        ),
        ("users/service.py", "            raise LastAdmin\n", "            return\n"),
    ),
    # injection
    "a search in SQL": (
        (
            "items/crud.py",
            "        columns = (Item.title, Item.description)\n        return or_(*(column.icontains(text, autoescape=True) for column in columns))",
            "        from sqlalchemy import literal_column\n\n        columns = \"title || coalesce(description, '')\"\n"
            "        return literal_column(f\"({columns} LIKE '%{text}%')\")",
        ),
    ),
    "a search that is a pattern": (("items/crud.py", "autoescape=True", "autoescape=False"),),
    "sorted by the hash": (
        ("users/schemas.py", '"id", "-id", "email"', '"id", "-id", "hashed_password", "-hashed_password", "email"'),
    ),
    # leak
    "the hash is shown": (
        ("users/schemas.py", "    updated_at: datetime\n", "    updated_at: datetime\n    hashed_password: str\n"),
    ),
    "validation that repeats the input": (
        ("core/handlers.py", 'for key in ("loc", "msg", "type")}', 'for key in ("loc", "msg", "type", "input")}'),
        ("core/handlers.py", '"msg": "the body cannot be read",', '"msg": "the body cannot be read", "input": "",'),
    ),
    "a 500 that shows the traceback": (
        LEAK,
        (
            "auth/router.py",
            "    pair = await service.register(data)\n",
            "    from app.users.exceptions import UserExists\n\n    try:\n        pair = await service.register(data)\n"
            "    except UserExists as error:\n        raise RuntimeError(data.username) from error\n",
        ),
    ),
    # sessions
    "the revocation is rolled back": (
        (
            "auth/exceptions.py",
            "    keep_changes: ClassVar[bool] = True\n",
            "    keep_changes: ClassVar[bool] = False\n",
        ),
    ),
    "signing out ends nothing": (
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
    "a new password leaves the sessions": (
        (
            "auth/service.py",
            "(data.new_password)\n        await login_session_crud.end_all(self.session, user.id)\n",
            "(data.new_password)\n",
        ),
    ),
    "switched off and on, and the session lives": (
        ("users/service.py", "if values or not user.is_active:", "if values:"),
    ),
    "who is switched off goes on": (
        ("auth/dependencies.py", "    if not user.is_active:\n        raise InactiveUser\n", ""),
    ),
}
