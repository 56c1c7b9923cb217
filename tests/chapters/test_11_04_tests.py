"""Checks of chapter 11, tests: what they must catch in variants of the app."""

import ast
from pathlib import Path

import pytest

from course_checks.suites import SECONDS
from workbook import expect
from workbook.checks import Variant, exercise

# ------------------------------------------------------------------------------------------- right apps and broken ones


class Trial:
    """The learner's test file on right apps, and then on broken ones.

    Args:
        path: the file, below `app`.
        rewritten: cells that say the same in another way; the result is the second right app.
        broken: cells by name; each text may hold several cells.
        name: what the exercise asks to write there.
    """

    def __init__(self, path, rewritten, broken, name):
        self.path, self.name = path, name
        self.right = [
            self._variant("the right app", ""),
            self._variant("the right app, written differently", rewritten),
        ]
        self.broken = {name: self._variant(name, cells) for name, cells in broken.items()}

    def _variant(self, name, text):
        cells = tuple(f"%%app {cell}" for cell in text.strip().split("%%app ")[1:])
        return Variant(name, cells=cells, paths=(self.path,), first_failure=True)

    def passes(self, suite, number):
        """Expect the tests to pass on a right app."""
        ran = suite.run(self.right, limit=SECONDS)[number]
        self._first_on(suite, self.right[:number])
        expect.that(
            ran.good,
            did=f"pytest app/{self.path}, on {ran.name}",
            got=ran.summary(),
            expected="every test passes, and there is at least one",
            why="a test that fails on a right app is a false alarm; soon nobody looks any more"
            if ran.first
            else "tests that do not run notice nothing",
            hint=self._repair(number, ran),
            fault=ran.fault,
        )

    def _first_on(self, suite, variants):
        """Expect the tests to pass on these apps before another one is tried."""
        if not all(ran.good for ran in suite.run(variants, limit=SECONDS)):
            raise expect.Wrong(did=f"not tried: app/{self.path} must pass on a right app first")

    def _repair(self, number, ran):
        if not ran.first:
            return f'run `pytest("app/{self.path}")` in the notebook: it says why nothing runs; names begin with test_'
        if number == 0:
            return "run pytest in the notebook; compare what the test asks for with the table above the exercise"
        return "compare `status_code`, `code` and values; not the words of `detail`, and not the app's source text"

    def catches(self, suite, load, name, *, row="", fault="", why, hint):
        """Expect the tests to fail on a broken app; before that, they must pass on the right ones.

        Args:
            row: the row of the table that is about it.
            fault: who can do what in this app.
        """
        self._first_on(suite, self.right)
        found = dict(zip(self.broken, suite.run(list(self.broken.values()), limit=SECONDS), strict=True))[name]
        if found.caught:
            return
        text = Path(load("tests").__file__).parents[1].joinpath(self.path).read_text("utf-8")
        at = getattr(load(self.path.removesuffix(".py").replace("/", ".")), self.name, None)
        names, silent = tests_of(text)
        if names == silent:
            raise expect.Wrong(
                did=f"pytest app/{self.path}, on apps with faults",
                got=f"nobody noticed: {' and '.join(silent)} without a single `assert`",
                expected="each test compares what came back with what should come back",
                why="a test without a question runs everything and notices nothing",
                hint="end the test with an `assert` that compares what came back with what is right",
                at=at,
            )
        raise expect.Wrong(
            did=f"pytest app/{self.path}, on an app with this fault",
            got=f"nobody noticed: {found.summary()}"
            + (f"; without an `assert`: {', '.join(silent)}" if silent else ""),
            expected=f"at least one test fails, because {fault}" if fault else "at least one test fails",
            why=why,
            hint=hint_for_a_row(text, row) if row and row in text else hint,
            at=at,
        )


def hint_for_a_row(text, row):
    """Choose the hint where the table has the row, and still nobody notices: the comparison lets it pass."""
    asserted = [node for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Assert) for node in ast.walk(one.test)]
    if any(isinstance(node, ast.In) for node in asserted):
        return "`in` is content with any of the three: compare who asked with what this person should get, by `==`"
    if row.startswith(("DELETE", "PATCH", "POST")):
        return f'the row "{row}" is there: do all three ask, and the admin, whose request changes something, last?'
    return f'the row "{row}" is there: is each of the three statuses compared, exactly, with that of the row?'


def tests_of(text):
    """Return the names of a file's tests, and of those that ask nothing: no `assert`, not even in what they call."""
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    asking = {"raises", "fail", "raise_for_status"}
    for _ in functions:
        asking |= {one.name for one in functions if any(_asks(node, asking) for node in ast.walk(one))}
    names = [one.name for one in functions if one.name.startswith("test_")]
    return names, [name for name in names if name not in asking]


def _asks(node, asking):
    called = getattr(node, "id", getattr(node, "attr", ""))
    return isinstance(node, ast.Assert | ast.Raise) or called in asking


# The same rules, said in another way; and other words for people.
REWRITTEN = '''
%%app users/permissions.py --merge
def has_permission(user: User, *permissions: str) -> bool:
    """Say whether the user has all these permissions."""
    allowed = ROLE_PERMISSIONS.get(user.role, frozenset())
    return user.is_superuser or all(one in allowed for one in permissions)

%%app users/models.py --merge
class User(TimestampMixin, SoftDeleteMixin, Base):
    @validates("email", "username")
    def fold_case(self, _key: str, value: str) -> str:
        """Store lower case only."""
        return "".join(letter.lower() for letter in value)

%%app auth/dependencies.py --merge
async def get_current_active_user(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Return the current user, unless the account is switched off."""
    if user.is_active:
        return user
    raise InactiveUser

%%app items/service.py --merge
from sqlalchemy import true


class ItemService:
    def visible(self) -> list[ColumnElement[bool]]:
        """Return the condition of what this user may see."""
        everything = has_permission(self.user, Permission.MANAGE_ITEMS)
        return [true() if everything else Item.owner_id == self.user.id]

%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session; commit, unless an error says otherwise."""
    async with request.app.state.session_factory() as session:
        try:
            yield session
        except Exception as error:
            if getattr(error, "keep_changes", False):
                await session.commit()
            else:
                await session.rollback()
            raise
        else:
            await session.commit()

%%app auth/exceptions.py --merge
class InvalidCredentials(NotAuthenticated):
    detail = "We do not know this combination of name and secret."

class InactiveUser(DomainError):
    detail = "Somebody has switched this account off."

class InvalidRefreshToken(NotAuthenticated):
    detail = "Please sign in again."

%%app users/exceptions.py --merge
class UserExists(Conflict):
    detail = "Choose another name or address."

class LastAdmin(Conflict):
    detail = "Somebody must stay."

class UserNotFound(NotFound):
    detail = "Nobody is called that."

%%app items/exceptions.py --merge
class ItemNotFound(NotFound):
    detail = "Nothing is here."

%%app core/exceptions.py --merge
class Forbidden(DomainError):
    detail = "That is for others."
'''


ACCESS = Trial(
    "tests/test_access.py",
    REWRITTEN,
    {
        "list": """
%%app users/permissions.py --merge
ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.USER: frozenset({Permission.READ_USERS}),
}
""",
        "create": '''
%%app users/router.py --merge
from fastapi import Request

from app.auth.dependencies import TokenIssuerDep, get_current_user
from app.core.exceptions import Forbidden
from app.db.session import SessionDep
from app.users.permissions import has_permission


async def refuse_users(request: Request, tokens: TokenIssuerDep, session: SessionDep) -> None:
    """Look at who is signed in, and forget those who are not."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and not has_permission(
        await get_current_user(token, tokens, session), Permission.WRITE_USERS
    ):
        raise Forbidden


WhoIsSignedIn = Annotated[None, Depends(refuse_users)]


@router.post("", response_model=UserPublic, status_code=status.HTTP_201_CREATED)
async def create_user(
    data: UserCreate, service: UserServiceDep, background: BackgroundTasks, _: WhoIsSignedIn
) -> User:
    """Create a user."""
    return await service.create(data)
''',
        "delete": '''
%%app users/router.py --merge
@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_user(user: UserById, service: UserServiceDep, me: CurrentUser) -> None:
    """Delete a user."""
    await service.delete(user)
''',
        "exists": '''
%%app users/dependencies.py --merge
async def visible_user_id(
    user_id: UserId, current_user: CurrentUser, service: UserServiceDep
) -> User:
    """Return yourself, or for admins anybody."""
    user = await service.get(user_id)
    if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):
        raise Forbidden
    return user
''',
        "change": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.patch("/{item_id}", response_model=ItemPublic)
async def update_item(
    item_id: int, data: ItemUpdate, session: SessionDep, user: CurrentUser
) -> Item:
    """Change the fields that are sent."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    return await item_crud.update(session, item, data)
''',
        "update": '''
%%app users/router.py --merge
@router.patch("/{user_id}", response_model=UserPublic)
async def update_user(
    user: UserById, data: AdminUserUpdate, service: UserServiceDep, me: CurrentUser
) -> User:
    """Change the fields that are sent."""
    return await service.update(user, data)
''',
        "read": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.get("/{item_id}", response_model=ItemPublic)
async def read_item(item_id: int, session: SessionDep, user: CurrentUser) -> Item:
    """Read one item."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    return item
''',
        "remove": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_item(item_id: int, session: SessionDep, user: CurrentUser) -> None:
    """Delete an item."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    await item_crud.delete(session, item)
''',
        "help": '''
%%app items/service.py --merge
class ItemService:
    def visible(self) -> list[ColumnElement[bool]]:
        """Return the condition of what this user may see."""
        return [Item.owner_id == self.user.id]
''',
    },
    "test_access",
)


@exercise("11.4", limit=25)
class TestAccess:
    @pytest.fixture(autouse=True)
    def in_memory(self, monkeypatch):
        """Give every app a database in memory: eleven apps run here, and a table needs no file."""
        monkeypatch.setenv("TEST_DATABASE_URL", "sqlite://")

    def test_right(self, suite):
        """Your table passes on a right app"""
        ACCESS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your table passes on a right app that is written differently"""
        ACCESS.passes(suite, 1)

    def test_list(self, suite, load):
        """Caught: every user of the app can read the e-mail addresses of all others"""
        ACCESS.catches(
            suite,
            load,
            "list",
            row="GET /users",
            fault="a user can read the list of all users",
            why="one permission too many for a role is a leak of everybody's data",
            hint="try what a user gets who asks for all users",
        )

    def test_create(self, suite, load):
        """Caught: strangers make accounts for other people"""
        ACCESS.catches(
            suite,
            load,
            "create",
            row="POST /users",
            fault="a visitor can make a user",
            why="a route that lost its guard works well, for everybody",
            hint="try what a visitor and a user get who make a user",
        )

    def test_update(self, suite, load):
        """Caught: Ada is angry with Bob, and now Bob has another name and another address"""
        ACCESS.catches(
            suite,
            load,
            "update",
            row="PATCH /users/{bob}",
            fault="a user can change another user",
            why="with another e-mail address, and perhaps another password, the account belongs to somebody else",
            hint="try what a user gets who changes another user",
        )

    def test_delete(self, suite, load):
        """Caught: Ada is angry with Bob, and now Bob has no account"""
        ACCESS.catches(
            suite,
            load,
            "delete",
            row="DELETE /users/{bob}",
            fault="a user can delete another user",
            why="being signed in is not the same as being allowed",
            hint="try what a user gets who deletes another user",
        )

    def test_exists(self, suite, load):
        """Caught: somebody counts your customers, by trying one number after the other"""
        ACCESS.catches(
            suite,
            load,
            "exists",
            row="GET /users/{bob}",
            fault="a user who reads another user gets a 403",
            why="a 403 says: there is such a user; a 404 says nothing",
            hint="try what a user gets who reads another user, and compare the exact status: 404",
        )

    def test_read(self, suite, load):
        """Caught: Bob's diary was read by somebody else"""
        ACCESS.catches(
            suite,
            load,
            "read",
            row="GET /items/{item}",
            fault="a user can read somebody else's item",
            why="ids are small numbers: whoever tries 1, 2, 3 and so on reads everything",
            hint="try what a user gets who reads the item of another user",
        )

    def test_change(self, suite, load):
        """Caught: the price of Bob's item was changed by somebody else"""
        ACCESS.catches(
            suite,
            load,
            "change",
            row="PATCH /items/{item}",
            fault="a user can change somebody else's item",
            why="reading was guarded and changing was not; this is the most frequent hole in web APIs",
            hint="try what a user gets who changes the item of another user: the user must not be its owner",
        )

    def test_remove(self, suite, load):
        """Caught: Bob's item is gone, and Bob did not delete it"""
        ACCESS.catches(
            suite,
            load,
            "remove",
            row="DELETE /items/{item}",
            fault="a user can delete somebody else's item",
            why="what is deleted cannot be read again to see what it was",
            hint="try what a user gets who deletes the item of another user",
        )

    def test_help(self, suite, load):
        """Caught: support cannot help, because an admin does not see what the customer sees"""
        ACCESS.catches(
            suite,
            load,
            "help",
            row="GET /items/{item}",
            fault="an admin cannot see somebody else's item",
            why="a guard that keeps out the right people is a fault as well",
            hint="try what an admin gets for somebody else's item, and send the admin's headers",
        )


COMPLAINTS = Trial(
    "tests/test_complaints.py",
    REWRITTEN,
    {
        "twin": '''
%%app users/models.py --merge
class User(TimestampMixin, SoftDeleteMixin, Base):
    @validates("email", "username")
    def fold_case(self, _key: str, value: str) -> str:
        """Store the value as it comes."""
        return value

%%app users/schemas.py --merge
Email = Annotated[EmailStr, AfterValidator(str.strip)]
''',
        "hash": """
%%app users/schemas.py --merge
class UserPublic(BaseModel):
    hashed_password: str
""",
        "dismissed": '''
%%app auth/dependencies.py --merge
async def get_current_active_user(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Return the current user."""
    return user
''',
        "refresh": '''
%%app auth/tokens.py --merge
from contextlib import suppress

from app.core.security import InvalidToken


@dataclass(frozen=True)
class TokenIssuer:
    def read(self, token: str, token_type: TokenType) -> TokenClaims:
        """Return the claims of a valid token."""
        with suppress(InvalidToken):
            return decode_token(token, self.key, TokenType.REFRESH)
        return decode_token(token, self.key, token_type)
''',
        "pen": '''
%%app items/service.py --merge
class ItemService:
    async def get_page(self, page: ItemPage) -> tuple[list[Item], int]:
        """Return one page of items, and how many there are in all."""
        where = [item_crud.matches(page.q)] if page.q else []
        items = await item_crud.get_multi(
            self.session, skip=page.skip, limit=page.limit, sort=page.sort, where=where
        )
        return items, await item_crud.count(self.session, where=where)
''',
        "admin": '''
%%app users/service.py --merge
class UserService:
    @asynccontextmanager
    async def _keeping_an_admin(self, user: User) -> AsyncIterator[None]:
        """Let every change pass."""
        yield
''',
        "known": '''
%%app auth/service.py --merge
class UnknownUser(InvalidCredentials):
    """Nobody has this name."""

    detail = "There is no account with this name."


class AuthService:
    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name."""
        user = await user_crud.get_by_identifier(self.session, identifier)
        if user is None:
            raise UnknownUser
        valid, _ = await verify_password(password, user.hashed_password)
        if not valid:
            raise InvalidCredentials
        if not user.is_active:
            raise InactiveLogin
        return await self._start_session(user)
''',
        "lost": '''
%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session; what makes something new is committed."""
    async with request.app.state.session_factory() as session:
        yield session
        if request.method == "POST":
            await session.commit()
''',
    },
    "TestComplaints",
)


@exercise("11.5", limit=25)
class TestComplaints:
    def test_right(self, suite):
        """Your tests pass on a right app"""
        COMPLAINTS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your tests pass on a right app that is written differently, with other words for people"""
        COMPLAINTS.passes(suite, 1)

    def test_twin(self, suite, load):
        """Caught, letter 1: one person has two accounts, and the orders are in the other one"""
        COMPLAINTS.catches(
            suite,
            load,
            "twin",
            why="a telephone begins every word with a capital letter; people do not notice",
            hint="the address is the same, the spelling is not, and nothing else may be the reason for the 409",
        )

    def test_hash(self, suite, load):
        """Caught, letter 2: an answer holds enough to guess a password at home"""
        COMPLAINTS.catches(
            suite,
            load,
            "hash",
            why="who has the hash can try a million passwords, and your server never notices",
            hint="ask what an answer must NOT hold; `answer.text` is the whole body",
        )

    def test_dismissed(self, suite, load):
        """Caught, letter 3: he was switched off in the morning, and read everything in the afternoon"""
        COMPLAINTS.catches(
            suite,
            load,
            "dismissed",
            why="a token lives for 30 minutes or more; switching off must work at once",
            hint="`make_user(is_active=False)` has headers; a request with them is a 400",
        )

    def test_refresh(self, suite, load):
        """Caught, letter 4: a stolen refresh token opens everything for 14 days"""
        COMPLAINTS.catches(
            suite,
            load,
            "refresh",
            why="an access token is short-lived on purpose; this makes all tokens long-lived",
            hint="send the refresh token of a sign-up in the Authorization header: 401",
        )

    def test_pen(self, suite, load):
        """Caught, letter 5: in my list is somebody else's pen"""
        COMPLAINTS.catches(
            suite,
            load,
            "pen",
            why="what one may not read alone, one may not read in a list either",
            hint="one user makes an item, another one asks for GET /items",
        )

    def test_admin(self, suite, load):
        """Caught, letter 6: nobody in the company can manage users any more"""
        COMPLAINTS.catches(
            suite,
            load,
            "admin",
            why="only somebody with access to the database can repair this",
            hint="let the only admin delete the own account: 409",
        )

    def test_known(self, suite, load):
        """Caught, letter 7: a stranger finds out who is a customer"""
        COMPLAINTS.catches(
            suite,
            load,
            "known",
            why="the two answers differ, so a list of addresses can be tried one by one",
            hint="sign in twice with a wrong password, once as somebody who exists; compare `code` and `detail`",
        )

    def test_lost(self, suite, load):
        """Caught, letter 8: a change was confirmed, and on the next day it was gone"""
        COMPLAINTS.catches(
            suite,
            load,
            "lost",
            why="the answer came from memory, the database knows nothing",
            hint="the answer to the change is no proof: who asks on the next day sends a second request",
        )


GAPS = Trial(
    "tests/test_gaps.py",
    REWRITTEN,
    {
        "copied": '''
%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session, and commit when the route has returned."""
    async with request.app.state.session_factory() as session:
        yield session
        await session.commit()
''',
        "old": '''
%%app auth/service.py --merge
class AuthService:
    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name; never say which of the two was wrong."""
        user = await user_crud.get_by_identifier(self.session, identifier)
        valid, _ = await verify_password(password, user.hashed_password if user else None)
        if user is None or not valid:
            raise InvalidCredentials
        if not user.is_active:
            raise InactiveLogin
        return await self._start_session(user)
''',
        "reset": '''
%%app users/service.py --merge
class UserService:
    async def update(self, user: User, data: UserUpdate) -> User:
        """Change what was sent; a new password is stored as a hash."""
        values = {}
        if isinstance(data, AdminUserUpdate) and data.password is not None:
            values["hashed_password"] = await hash_password(data.password)
        async with self._keeping_an_admin(user):
            with refuse_duplicates():
                await user_crud.update(self.session, user, data, **values)
        if not user.is_active:
            await login_session_crud.end_all(self.session, user.id)
        return user
''',
    },
    "TestGaps",
)


@exercise("11.6", limit=25)
class TestGaps:
    def test_right(self, suite):
        """Your tests pass on a right app"""
        GAPS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your tests pass on a right app that is written differently"""
        GAPS.passes(suite, 1)

    def test_copied(self, suite, load):
        """Caught, place 1: a thief with a copied token stays signed in, although the copy was noticed"""
        GAPS.catches(
            suite,
            load,
            "copied",
            why="the 401 was given, but what it should change was rolled back",
            hint="the 401 for the copy is right on this app, too: what must not work any more after it?",
        )

    def test_old(self, suite, load):
        """Caught, place 2: years after the cost was raised, the old cheap hashes are still there"""
        GAPS.catches(
            suite,
            load,
            "old",
            why="sign-in is the only moment in which the app knows the password",
            hint="the answer to the sign-in is the same on both apps: the difference is in the row",
        )

    def test_reset(self, suite, load):
        """Caught, place 3: an admin sets a new password, and the thief is still signed in"""
        GAPS.catches(
            suite,
            load,
            "reset",
            why="people change a password because somebody else knows it",
            hint="the change works on this app, too: what did the thief have before it, and what is it worth now?",
        )
