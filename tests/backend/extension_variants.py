"""The finished backend with one extension of chapter 15 each: how it can be done, in as few lines as show it."""

# ruff: noqa: E501 # what stands in the app, letter by letter

from __future__ import annotations

from workbook.practice.sabotage import Edit

KEYSET: tuple[Edit, ...] = (
    (
        "items/schemas.py",
        '    """Which part of the list of items, and in which order."""\n',
        '    """Which part of the list of items, and in which order."""\n\n'
        "    after: int | None = Field(default=None, ge=1, description='the last id of the page before')\n",
    ),
    (
        "items/service.py",
        "        items = await item_crud.get_multi(\n"
        "            self.session, skip=page.skip, limit=page.limit, sort=page.sort, where=where\n        )\n",
        "        after = page.after or 0\n        behind = Item.id < after if page.sort == '-id' else Item.id > after\n"
        "        items = await item_crud.get_multi(\n"
        "            self.session, skip=page.skip, limit=page.limit, sort=page.sort,\n"
        "            where=where if page.after is None else [*where, behind],\n        )\n",
    ),
)

ETAG: tuple[Edit, ...] = (
    (
        "items/router.py",
        "async def read_item(item: VisibleItem) -> Item:\n",
        "async def read_item(item: VisibleItem, response: Response) -> Item:\n",
    ),
    (
        "items/router.py",
        '    """Read one item."""\n',
        '    """Read one item."""\n    response.headers["ETag"] = etag(item)\n',
    ),
    (
        "items/router.py",
        "async def update_item(item: VisibleItem, data: ItemUpdate, service: ItemServiceDep) -> Item:\n"
        '    """Change the fields that are sent."""\n',
        "async def update_item(\n    item: VisibleItem, data: ItemUpdate, service: ItemServiceDep,\n"
        "    if_match: Annotated[str | None, Header()] = None,\n) -> Item:\n"
        '    """Change the fields that are sent."""\n'
        "    if if_match not in (None, etag(item)):\n        raise Outdated\n",
    ),
    (
        "items/router.py",
        "from fastapi import APIRouter, Query,",
        "from fastapi import APIRouter, Header, Query,",
    ),
    (
        "items/router.py",
        '\n\nrouter = APIRouter(prefix="/items"',
        "\n\nfrom app.core.exceptions import DomainError\n\n\n"
        "class Outdated(DomainError):\n    status_code = 412\n    code = 'outdated'\n    detail = 'The item has changed since you read it.'\n\n\n"
        'def etag(item: Item) -> str:\n    return f\'"{item.id}-{item.updated_at.timestamp()}"\'\n\n\nrouter = APIRouter(prefix="/items"',
    ),
)

IDEMPOTENCY: tuple[Edit, ...] = (
    (
        "items/router.py",
        "async def create_item(data: ItemCreate, service: ItemServiceDep) -> Item:\n"
        '    """Create an item of your own."""\n    return await service.create(data)\n',
        "async def create_item(\n    data: ItemCreate, service: ItemServiceDep, request: Request,\n"
        "    idempotency_key: Annotated[str | None, Header(max_length=100)] = None,\n) -> Item:\n"
        '    """Create an item of your own."""\n'
        "    if idempotency_key is None:\n        return await service.create(data)\n"
        '    cache, name = request.app.state.cache, f"idempotency:{service.user.id}:{idempotency_key}"\n'
        "    if not await cache.add(name, b'', 86400):\n"
        "        if known := await cache.get(name):\n            return await service.get(int(known))\n"
        "        raise Conflict\n"
        "    try:\n        item = await service.create(data)\n        await service.session.commit()\n"
        "    except BaseException:\n        await cache.delete(name)\n        raise\n"
        "    await cache.set(name, str(item.id).encode(), 86400)\n    return item\n",
    ),
    (
        "items/router.py",
        "from fastapi import APIRouter, Query,",
        "from app.core.exceptions import Conflict\nfrom fastapi import APIRouter, Header, Query,",
    ),
)

ARGON2: tuple[Edit, ...] = (
    (
        "core/security.py",
        "from passlib.context import CryptContext\n",
        "import bcrypt\nfrom argon2 import PasswordHasher\nfrom argon2.exceptions import InvalidHashError, VerifyMismatchError\n",
    ),
    (
        "core/security.py",
        '# A cost of 12 takes 0.2 to 0.4 s: nothing for one sign-in, years for a list of guesses.\npwd_context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=12)\n',
        "class Hashes:\n    def __init__(self):\n        self.argon2 = PasswordHasher()\n        self.unknown = self.argon2.hash('nobody')\n\n"
        "    def hash(self, password):\n        return self.argon2.hash(password)\n\n"
        "    def verify(self, password, hashed):\n        if hashed.startswith('$2'):\n"
        "            return bcrypt.checkpw(password.encode(), hashed.encode())\n"
        "        try:\n            return self.argon2.verify(hashed, password)\n"
        "        except VerifyMismatchError:\n            return False\n        except InvalidHashError as error:\n            raise ValueError from error\n\n"
        "    def dummy_verify(self):\n        return self.verify('somebody', self.unknown)\n\n"
        "    def needs_update(self, hashed):\n        return hashed.startswith('$2') or self.argon2.check_needs_rehash(hashed)\n\n\n"
        "hashes = Hashes()\n",
    ),
    (
        "core/security.py",
        "    return await in_turns(pwd_context.hash, password)",
        "    return await in_turns(hashes.hash, password)",
    ),
    (
        "core/security.py",
        "    if not pwd_context.needs_update(hashed_password):\n        return None\n    return pwd_context.hash(password)",
        "    if not hashes.needs_update(hashed_password):\n        return None\n    return hashes.hash(password)",
    ),
    (
        "core/security.py",
        "    if hashed_password is None or not can_be_hashed(password):\n        return pwd_context.dummy_verify(), None",
        "    if hashed_password is None or not can_be_hashed(password):\n        return hashes.dummy_verify(), None",
    ),
    (
        "core/security.py",
        "        valid = pwd_context.verify(password, hashed_password)\n    except ValueError:  # what is stored is no hash, or only a part of one\n        return pwd_context.dummy_verify(), None",
        "        valid = hashes.verify(password, hashed_password)\n    except ValueError:\n        return hashes.dummy_verify(), None",
    ),
    ("core/security.py", "asyncio.to_thread(pwd_context.dummy_verify)", "asyncio.to_thread(hashes.dummy_verify)"),
)

PYJWT: tuple[Edit, ...] = (
    ("core/security.py", "from jose import JWTError, jwt\n", "import jwt\n"),
    ("core/security.py", "    except (JWTError, RecursionError,", "    except (jwt.PyJWTError, RecursionError,"),
)

PROBLEM: tuple[Edit, ...] = (
    (
        "core/handlers.py",
        '    """JSON that can always be sent: a message may quote half a character (a lone surrogate)."""\n',
        '    """JSON that can always be sent."""\n\n    media_type = "application/problem+json"\n',
    ),
    (
        "core/handlers.py",
        '    body = {"detail": detail,',
        "    from http import HTTPStatus\n\n"
        '    about = {"type": "about:blank", "title": HTTPStatus(status_code).phrase, "status": status_code}\n'
        '    body = {**about, "detail": detail,',
    ),
    (
        "core/handlers.py",
        "    app.exception_handler(NoConnection)(handle_no_connection)\n",
        "    app.exception_handler(NoConnection)(handle_no_connection)\n    plain = app.openapi\n\n"
        "    def openapi() -> dict[str, Any]:\n        document = plain()\n"
        "        operations = [one for path in document['paths'].values() for one in path.values()]\n"
        "        for status_code, response in (pair for one in operations for pair in one['responses'].items()):\n"
        "            content = response.get('content', {})\n"
        "            if status_code.startswith('4') and 'application/json' in content:\n"
        "                content[ErrorResponse.media_type] = content.pop('application/json')\n"
        "        return document\n\n    app.openapi = openapi\n",
    ),
)

EXTENDED: dict[str, tuple[Edit, ...]] = {
    "keyset": KEYSET,
    "etag": ETAG,
    "idempotency": IDEMPOTENCY,
    "argon2": ARGON2,
    "pyjwt": PYJWT,
    "problem": PROBLEM,
}
