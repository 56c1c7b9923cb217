"""A cell's code put into a module: the argument line, the text, the merge, what changed."""

import ast
import itertools
import shutil
import subprocess
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbook.merge.assemble import (
    CellError,
    Header,
    check_syntax,
    clean,
    definitions,
    describe,
    in_order,
    merge,
    parse_header,
)


def d(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def merged(existing: str, cell: str, previous: str | None = None) -> str:
    """Merge dedented texts, and prove that a second run changes nothing."""
    last = None if previous is None else d(previous)
    result = merge(d(existing), d(cell), last)
    assert merge(result, d(cell)) == result
    compile(result, "merged", "exec", dont_inherit=True)
    return result


class TestHeader:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("main.py", Header("main.py")),
            ("%%app main.py", Header("main.py")),
            (" users/schemas.py --merge ", Header("users/schemas.py", merge=True)),
            ("--exercise 2.2 a/b.py", Header("a/b.py", exercise="2.2")),
            ("a.py --merge --exercise=10.12", Header("a.py", merge=True, exercise="10.12")),
            ("app/users/schemas.py", Header("users/schemas.py")),
            ("users\\schemas.py", Header("users/schemas.py")),
            ("app/__init__.py", Header("__init__.py")),
        ],
    )
    def test_it_is_read(self, line: str, expected: Header) -> None:
        """Path and options are read in any order."""
        assert parse_header(line) == expected

    @pytest.mark.parametrize(
        "path",
        [
            "../x.py", "a/../x.py", "/etc/x.py", "C:\\x.py", "c:/x.py", "\\\\host\\x.py", "a\0.py",
            "a-b.py", "class.py", "users/import/x.py", "users/", "x.txt", "x", ".py", "a//b.py",
            "./a.py", "1a.py", "con.py", "lpt1/x.py", "~/x.py", "app/../x.py",
        ],
    )  # fmt: skip
    def test_a_bad_path_is_refused(self, path: str) -> None:
        """The error names the path and says what to write."""
        with pytest.raises(CellError) as caught:
            parse_header(path)
        assert repr(path) in caught.value.message
        assert "%%app users/schemas.py" in caught.value.hint
        assert str(caught.value) == f"{caught.value.message}\n\nhint: {caught.value.hint}"

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("", "needs the path"),
            ("a.py b.py", "one path"),
            ("a.py --marge", "'--marge'"),
            ("a.py --exercise", "needs a number"),
            ("a.py --exercise two", "'two'"),
        ],
    )
    def test_a_bad_line_is_refused(self, line: str, words: str) -> None:
        """A missing path, two paths, an unknown option and a bad exercise are named."""
        with pytest.raises(CellError, match=words):
            parse_header(line)


class TestClean:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("a\r\nb\rc", "a\nb\nc\n"),
            ("\ufeffa\n\n\n", "a\n"),
            ("\tx = 1", "\tx = 1\n"),
            ("", "\n"),
        ],
    )
    def test_line_ends_are_made_one(self, code: str, expected: str) -> None:
        """CRLF, CR, a BOM and extra newlines go; tabs stay."""
        assert clean(code) == expected

    def test_nul_is_refused_with_its_line(self) -> None:
        """A NUL character is refused, and its line named."""
        with pytest.raises(CellError, match="line 3 of the cell"):
            clean("a = 1\nb\0 = 2")


class TestSyntax:
    @pytest.mark.parametrize(
        ("code", "line", "hint"),
        [
            ("x = 1\nclass A\n    pass\n", 2, "colon"),
            ("x = (1,\n", 1, "close this bracket"),
            ("x = 1)\n", 1, "bracket"),
            ("x = [1)\n", 1, "bracket"),
            ("x = 'a\n", 1, "quotes"),
            ('x = """a\n', 1, "quotes"),
            ("await f()\n", 1, "async def"),
            ("def f():\n    async with g():\n        pass\n", 2, "async def"),
            ("def f():\n    return [x async for x in y]\n", 2, "async def"),
            ("return 1\n", 1, "stands in its function"),
            ("break\n", 1, "stands in its loop"),
            ("continue\n", 1, "stands in its loop"),
            ("x = 1\n%pip install x\n", 2, "cell of their own"),
            ("!ls\n", 1, "cell of their own"),
            ("x?\n", 1, "cell of their own"),
            ("def f():\nreturn 1\n", 2, "four spaces"),
            ("x = 1\n  y = 2\n", 2, "remove the spaces"),
            ("if 1:\n    x = 1\n  y = 2\n", 3, "as far as"),
            ("if 1:\n\tx = 1\n        y = 2\n", 3, "without tabs"),
            ("x = 1\nfrom __future__ import annotations\n", 2, "top of the cell"),
            ("x = = 1\n", 1, "run the cell again"),
        ],
    )
    def test_the_message_shows_the_place(self, code: str, line: int, hint: str) -> None:
        """File, line, Python's words, the source line, a caret and a fitting hint."""
        with pytest.raises(CellError) as caught:
            check_syntax(code, "users/schemas.py")
        message = caught.value.message.split("\n")
        assert message[0].startswith(f"users/schemas.py, line {line + 1} of the cell: ")  # below `%%app`
        assert message[2] == f"    {code.splitlines()[line - 1]}"
        assert set(message[3].strip()) == {"^"}
        assert hint in caught.value.hint

    def test_right_code_gives_its_tree(self) -> None:
        """The tree comes back; a warning of the compiler is no error."""
        assert isinstance(check_syntax("x = '\\d'\nx is 1\n", "a.py"), ast.Module)

    @pytest.mark.parametrize(
        "code",
        [
            "(" * 5000 + ")" * 5000,
            "-" * 200_000 + "1",
            "x = '\ud800'\n",
            "a\0",
            "x = 1" + "+1" * 200_000,
        ],
    )
    def test_what_the_parser_cannot_bear_is_a_cell_error(self, code: str) -> None:
        """Code too deep, or not text at all, is refused as an error of the cell."""
        with pytest.raises(CellError, match=r"a\.py"):
            check_syntax(code, "a.py")


class TestDefinitionsMerge:
    def test_into_nothing(self) -> None:
        """A cell put into an empty module is the module, laid out as PEP 8 says."""
        cell = "import os\nX = 1\ndef f():\n    return X\nclass A: ...\n"
        assert merged("", cell) == ("import os\n\nX = 1\n\n\ndef f():\n    return X\n\n\nclass A:\n    ...\n")

    def test_the_same_name_is_replaced_in_place(self) -> None:
        """Function, class and constant are replaced where they stand, comments and all."""
        result = merged(
            """
            # old words
            A = 1  # one


            # old
            @cache
            def f():
                return 1


            # of g
            def g():
                return 2  # kept
            """,
            """
            # new
            @other
            def f():
                return 3
            # words
            A = 2
            """,
        )
        assert result == d(
            """
            # words
            A = 2


            # new
            @other
            def f():
                return 3


            # of g
            def g():
                return 2  # kept
            """
        )

    def test_a_constant_comes_before_the_class_that_needs_it(self) -> None:
        """What stands before a replaced definition in the cell stands before it in the module."""
        result = merged(
            "class A:\n    x = 1\n\n\nclass B:\n    pass\n",
            "LIMIT = 3\nclass A:\n    x = LIMIT\ndef after(): ...\n",
        )
        assert result.index("LIMIT = 3") < result.index("class A") < result.index("class B")
        assert result.index("class B") < result.index("def after")

    def test_what_is_needed_is_moved_up(self) -> None:
        """A class that now needs a constant from further down gets it above itself."""
        result = merged("class A:\n    x: int\n\n\nBase = int\nName = Base\n", "class A:\n    x: Name\n")
        assert result.index("Base =") < result.index("Name =") < result.index("class A")

    def test_the_cells_order_against_the_modules(self) -> None:
        """Where both orders differ, what is needed at import time still comes first."""
        result = merged(
            "class A:\n    x: int\n\n\nclass B:\n    y: int\n",
            "class B:\n    y: str\n\nN = B\n\nclass A:\n    x: N\n",
        )
        assert result.index("class B") < result.index("N = B") < result.index("class A")

    @pytest.mark.parametrize(
        ("existing", "cell", "order"),
        [
            (
                "class Admin(User): ...\n",
                "Name = str\n\n\nclass User:\n    name: Name\n",
                "Name = |class User|class Admin",
            ),
            ("def f(kind: Kind = Kind.A): ...\n", "class Kind:\n    A = 1\n", "class Kind|def f"),
            ("@app.get('/')\ndef root(): ...\n", "# the app\napp = FastAPI()\n", "# the app|app = |def root"),
            ("@deco\ndef f(): ...\n", "def deco(f): return f * N\nN = 2\n", "N = |def deco|def f"),
            ("app = make()\n\n\ndef make():\n    return tune(1)\n", "def tune(x): ...\n", "def tune|app = "),
            ("class A(Base): ...\n\n\nfrom app.base import Base\n", "X = 1\n", "import Base|class A"),
            ("if DEBUG:\n    log(1)\n", "DEBUG = True\n", "DEBUG = |if DEBUG"),
        ],
    )
    def test_what_stands_below_its_first_use_is_moved_up(self, existing: str, cell: str, order: str) -> None:
        """A base, a default, a decorator, an annotation, what a called function reads: all of it comes first."""
        result = merged(existing, cell)
        places = [result.index(part) for part in order.split("|")]
        assert places == sorted(places), result
        assert merged(existing.rstrip() + "\n\n\n" + cell, "log()\n").index("log()") > places[-1]
        assert in_order(result) == result

    @pytest.mark.parametrize(
        "existing",
        [
            "def f():\n    return LATER\n\n\nLATER = 1\n",
            "async def f():\n    return LATER\n\n\nx = f()\nLATER = 1\n",
            "from __future__ import annotations\n\n\ndef f(x: A) -> A:\n    y: A = x\n\n\nclass A:\n    b: B\n\n\nclass B:\n    a: A\n",
            "class A(B):\n    x = 1\n\n\nclass B(A):\n    y = 1\n",
            "KEYS = [key for key in (1, 2)]\nkey = 3\n",
            "f = lambda: key\nkey = 3\n",
            "try:\n    import toml\nexcept ImportError:\n    toml = None\n\nX = toml\ntoml = 1\n",
            "x = A()\n\n\nclass A:\n    x = 1\n\n\nclass A:\n    x = 2\n",
            "@overload\ndef f(x=f): ...\n\n\nf = 1\n",
            "@f.setter\ndef f(x=f): ...\n\n\ndef f(): ...\n",
            "from a import *\n\nX = Y\nY = 1\n",
            "class A:\n    x: 'B'\n\n\nclass B:\n    x = 1\n",
        ],
    )
    def test_a_module_that_is_in_order_or_cannot_be_stays(self, existing: str) -> None:
        """Nothing moves for a function's body, for annotations that nobody reads, in a circle, or among namesakes."""
        assert in_order(existing) == existing
        result = merge(existing, "OTHER = 1\n")
        assert result.replace("OTHER = 1\n", "").split() == existing.split()

    def test_statements_are_not_doubled(self) -> None:
        """A statement that is there already, however it is spaced, is not added again."""
        result = merged("app.include(users)\nX = 1\n", "app.include( users )\napp.include(items)\n")
        assert result.count("users") == 1
        assert result.endswith("app.include(items)\n")

    def test_new_code_stays_above_the_main_block(self) -> None:
        """`if __name__ == "__main__":` stays the last."""
        result = merged('X = 1\n\nif __name__ == "__main__":\n    run()\n', "def f(): ...\n")
        assert result.index("def f") < result.index("__name__")

    def test_one_of_two_names_keeps_the_other(self) -> None:
        """`a, b = 1, 2` stays where only `a` is defined anew, and `a` comes after it."""
        assert merged("a, b = 1, 2\nc = 3\n", "a = 5\n").index("a, b = 1") < 5
        assert merged("a = 1\nb = 2\n", "a, b = 3, 4\n") == "a, b = 3, 4\n"

    def test_free_comments_and_strings_are_kept(self) -> None:
        """Comments that stand alone and strings with strange lines keep their text."""
        existing = 'X = """\n# no comment\n\n\nclass A: ...\n"""\n\n# alone\n\nY = 1\n# end\n'
        result = merged(existing, "Z = 1\n")
        assert result == existing.replace("# end\n", "# end\n\nZ = 1\n")

    def test_semicolons_are_parted(self) -> None:
        """Statements that share a line are merged one by one."""
        assert merged("a = 1; b = 2; import os\n", "b = 3; \\\nc = 4") == "import os\n\na = 1\nb = 3\nc = 4\n"

    def test_setters_and_overloads_are_kept_apart(self) -> None:
        """A function's overloads stay with it, and variants called `_` stay apart."""
        existing = d(
            """
            @overload
            def f(x: int) -> int: ...


            @overload
            def f(x: str) -> str: ...


            def f(x):
                return x


            @f.register
            def _(x: int): ...
            """
        )
        result = merged(existing, "def f(x):\n    return 2\n@f.register\ndef _(x: str): ...\n")
        assert result.count("@overload") == 2
        assert result.count("def _") == 2
        assert "return x" not in result

    def test_a_broken_module_is_named(self) -> None:
        """An existing file with a syntax error is named with its line and a way out."""
        with pytest.raises(CellError, match="line 2") as caught:
            merge("x = 1\ndef f(:\n", "y = 1\n")
        assert "%undo" in caught.value.hint

    def test_the_docstring_is_the_cells(self) -> None:
        """The module's docstring is replaced by the cell's, where it has one."""
        existing = '#!/usr/bin/env python\n# Copyright\n"""Old."""\nX = 1\n'
        assert '"""New."""' in merged(existing, '"""New."""\nY = 1\n')
        assert merged(existing, "Y = 1\n").startswith('#!/usr/bin/env python\n# Copyright\n"""Old."""\n')


MODULE = d(
    """
    import os

    LIMIT = 1


    def limited():
        return LIMIT


    class Kind:
        A = 1


    first = Kind.A
    """
)


class TestNewConstants:
    def test_they_go_below_the_constants_above_the_functions(self) -> None:
        """New constants stand together, in the cell's order, with a blank line to what was there."""
        result = merged(MODULE, "# seconds\nPAUSE = 2\nMORE = LIMIT + PAUSE\n\n\ndef paused(): ...\n")
        assert "LIMIT = 1\n\n# seconds\nPAUSE = 2\nMORE = LIMIT + PAUSE\n\n\ndef limited" in result
        assert result.endswith("first = Kind.A\n\n\ndef paused(): ...\n")

    def test_without_a_constant_they_open_the_module(self) -> None:
        """They go above the first definition, and above a comment that speaks of what follows."""
        result = merged("import os\n\n\n# the classes\n\nclass A: ...\n\n\ndef f(): ...\n", "N = 1\n")
        assert result.startswith("import os\n\nN = 1\n\n\n# the classes\n\n\nclass A")

    @pytest.mark.parametrize(
        ("cell", "order"),
        [
            ("Dep = Annotated[int, Depends(limited)]\n", "def limited|Dep = |class Kind"),
            ("best: Kind = None\n", "class Kind|best: Kind|first = "),
            ("again = first\n", "first = |again = "),
            ("made = late()\n\n\ndef late():\n    return Kind.A\n", "class Kind|first = |def late|made = "),
            ("x = late()\nN = 3\n\n\ndef late():\n    return N\n", "def late|N = |x = "),
            ("table = {1: first}\n\n\ndef f(): ...\n", "first = |table = |def f"),
        ],
    )
    def test_what_they_need_stays_above_them(self, cell: str, order: str) -> None:
        """A name that is read when they are made, also by a function that they may call, stands above them."""
        result = merged(MODULE, cell)
        places = [result.index(part) for part in order.split("|")]
        assert places == sorted(places), result

    @pytest.mark.parametrize(
        ("existing", "cell", "order"),
        [
            ("def f(): ...\n\n\nload_dotenv()\n", "KEY = os.environ['KEY']\n", "load_dotenv|KEY = "),
            ("def f(): ...\n\n\nfrom late import z  # noqa: E402\n", "Z = z.all\n", "import z|Z = "),
            ("def f(x: list): ...\n", "list = 3\n", "def f|list = "),
            ("def f(): ...\n\n\nif f:\n    N = 1\n", "N = 2\n", "if f|N = 2"),
            ("def f(): ...\n", "def N(): ...\nN = f(N)\n", "def f|def N|N = f"),
            ("app = f()\n\n\ndef g(): ...\n", "app.state.n = 1\n", "def g|app.state.n"),
            ("A = 1\n\n\ndef f(): ...\n\n\nB = f()\n", "B = f()\nC = 1\n", "A = 1|C = 1|def f|B = "),
            ("A = 1\nB = 2\n\n\ndef f(): ...\n", "A = 1\nN = 1\nB = 2\n", "A = 1|N = 1|B = 2|def f"),
            ("def f(): ...\n\n\nlog(1)\n", "N = 1\nlog(1)\nlog(N)\n", "N = 1|def f|log(1)|log(N)"),
            ("def f(): ...\n", 'N = 1\nif __name__ == "__main__":\n    f(N)\n', "N = 1|def f|if __name__"),
        ],
    )
    def test_they_mean_what_the_cell_means(self, existing: str, cell: str, order: str) -> None:
        """They stay below a statement with an effect, a namesake, and what another meaning of their name is for."""
        result = merged(existing, cell)
        places = [result.index(part) for part in order.split("|")]
        assert places == sorted(places), result

    def test_what_is_there_is_not_moved(self) -> None:
        """A module's own order stays, however it is, and so does a constant that is replaced."""
        existing = "def f():\n    return LOW\n\n\nLOW = 1\n\n\ndef g(): ...\n"
        assert merged(existing, "LOW = 2\n") == existing.replace("1", "2")
        assert merged(existing, "HIGH = 2\n") == "HIGH = 2\n\n\n" + existing

    def test_a_comment_that_stands_alone_goes_with_them(self) -> None:
        """The heading of a group of constants stays above it."""
        result = merged(MODULE, "# Times\n\nPAUSE = 2\n")
        assert "LIMIT = 1\n\n# Times\n\nPAUSE = 2\n\n\ndef limited" in result
        cell = "def g(): ...\n\n\n# Times\n\nPAUSE = 2\n"
        opened = merged("def f(): ...\n", cell)
        assert opened.startswith("# Times\n\nPAUSE = 2\n\n\ndef f")
        assert merge(opened, "PAUSE = 2\n", cell) == "PAUSE = 2\n\n\ndef f(): ...\n"


CLASS = d(
    """
    class Settings(Base):
        config = 1

        stage: str = "a"
        # what it listens to
        port: int = 1

        # about checks

        @validator("stage")
        def check(cls, value: int): ...

        @property
        def area(self): ...
    """
)


class TestNewMembers:
    def test_fields_go_below_the_last_field_and_methods_to_the_end(self) -> None:
        """Each goes to its like, in the cell's order, with the comment above it."""
        cell = """
            class Settings(Base):
                # how long
                wait: int = 2
                @validator("wait")
                def check_wait(cls, value): ...
                # how often
                tries: int = 3
                def again(self): ...
            """
        result = merged(CLASS, cell)
        fields = "    port: int = 1\n    # how long\n    wait: int = 2\n    # how often\n    tries: int = 3\n\n    # about checks"
        assert fields in result
        order = ["def check(", "def area", "def check_wait", "def again"]
        assert [result.index(part) for part in order] == sorted(result.index(part) for part in order)

    def test_without_a_field_they_go_above_the_first_method(self) -> None:
        """The first field stands below the docstring."""
        existing = 'class A:\n    """Doc."""\n\n    # checks\n\n    def f(self): ...\n'
        assert merged(existing, "class A:\n    x: int\n").startswith(
            'class A:\n    """Doc."""\n\n    x: int\n\n    # checks\n'
        )

    @pytest.mark.parametrize(
        ("members", "order"),
        [
            ("both = property(check)", "def check(|both = |def area"),
            ("stage: str = ''\n    wait: int = 2\n    port: int = 1", "stage|wait: int|port: int"),
            ("int: int = 3", "def check(|int: int"),
            ("area2 = area.fget", "def area|area2"),
            ("def later(self, x=port): ...\n    wait = 1", "port: int|wait = 1|def check(|def later"),
        ],
    )
    def test_a_field_means_what_the_cell_means(self, members: str, order: str) -> None:
        """It stays below what it needs, and below a member that means another thing by its name."""
        result = merged(CLASS, f"class Settings(Base):\n    {members}\n")
        places = [result.index(part) for part in order.split("|")]
        assert places == sorted(places), result

    def test_the_order_of_the_fields_stays(self) -> None:
        """A field below methods stays there, and a new one comes after it: it may need a default where that has one."""
        existing = (
            "@dataclass\nclass A:\n    a: int\n\n    def f(self): ...\n\n    b: int = 1\n\n    def g(self): ...\n"
        )
        result = merged(existing, "@dataclass\nclass A:\n    c: int = 2\n")
        assert result == existing.replace("    b: int = 1\n", "    b: int = 1\n    c: int = 2\n")


class TestImportsMerge:
    def test_they_are_united_and_sorted(self) -> None:
        """One statement for each module, sections apart, comments kept."""
        result = merged(
            '"""Doc."""\nfrom pydantic import Field\nimport app.core\nX = 1\n',
            """
            from __future__ import annotations
            import sys, os  # noqa: F401
            # why pydantic
            from pydantic import BaseModel  # models
            from . import here
            from pydantic import Field as F
            from app.users import router
            Y = 2
            """,
        )
        assert result == d(
            '''
            """Doc."""

            from __future__ import annotations

            import os  # noqa: F401
            import sys  # noqa: F401

            # why pydantic
            from pydantic import (
                BaseModel,  # models
                Field,
            )
            from pydantic import Field as F

            import app.core
            from app.users import router

            from . import here

            X = 1

            Y = 2
            '''
        )

    def test_a_long_line_is_wrapped(self) -> None:
        """Over 100 columns each name has its line."""
        names = ", ".join(f"name_number_{number}" for number in range(9))
        result = merged("", f"from somewhere import {names}\n")
        assert result.startswith("from somewhere import (\n    name_number_0,\n")
        assert max(map(len, result.split("\n"))) <= 100

    def test_a_late_import_that_is_meant_stays(self) -> None:
        """`# noqa: E402` keeps an import where it stands; others rise to the top."""
        result = merged("X = 1\nimport a  # noqa: E402\nimport b\n", "import a  # noqa: E402\n")
        assert result == "import b\n\nX = 1\nimport a  # noqa: E402\n"

    @pytest.mark.parametrize(
        "late",
        [
            'os.environ["STAGE"] = "test"\n\nfrom app.core.config import settings\n',
            'os.environ["STAGE"] = "test"\n\nimport sqlalchemy\n',
            "load_dotenv()\nfrom app.core.config import settings\n",
            "with quiet():\n    pass\nimport yaml\n",
            "class User:\n    x = 1\n\n\nfrom app.roles import Role\n",
            "def user(): ...\n\n\nfrom .roles import Role\n",
            "base = declarative_base()\n\nfrom app.roles import Role\n",
        ],
    )
    def test_an_import_below_what_it_may_need_stays(self, late: str) -> None:
        """Below a statement with an effect, and below definitions of a module in a circle, an import stays where it is."""
        existing = f"import os\n\n{late}"
        result = merged(existing, "import json\n\nLIMIT = json.loads('1')\n")
        assert result.startswith("import json\nimport os\n\n")
        line = next(line for line in late.splitlines() if "import" in line)
        body = result.splitlines()
        assert body.index(line) > body.index(late.splitlines()[0])
        assert merged(result, "import json\n\nLIMIT = json.loads('1')\n") == result
        assert body.count(line) == 1

    @pytest.mark.parametrize("above", ["LIMIT = 1", "'text'", "def f(): ...", "logger = logging.getLogger()"])
    def test_an_import_that_needs_nothing_above_it_rises(self, above: str) -> None:
        """Past constants every import rises, past definitions those of other packages do."""
        assert merged("", f"{above}\nimport json\n").startswith(("import json\n", '"""', "'text'\n\nimport json\n"))
        if above == "LIMIT = 1":
            assert merged("", f"{above}\nfrom app import users\n").startswith("from app import users\n")

    def test_what_needs_a_late_import_is_not_moved_above_it(self) -> None:
        """A class whose base comes from a late import stays below it."""
        existing = "log(1)\nfrom app.b import Base\n\n\nclass C(Base): ...\n"
        result = merged(existing, "X: C\n\n\nlog(1)\n")
        assert result.index("import Base") < result.index("class C")

    def test_what_is_imported_at_the_top_is_not_imported_again(self) -> None:
        """A late import of the cell's that the module has at its top adds nothing."""
        assert merged("import os\n\nlog(1)\n", "log(1)\nimport os\n").count("import os") == 1

    def test_what_is_nested_too_deeply_is_refused(self) -> None:
        """A chain that Python can compile, and that nothing can walk through, is refused in words."""
        chain = "if a == 0:\n    x = 0\n" + "".join(f"elif a == {i}:\n    x = {i}\n" for i in range(400))
        with pytest.raises(CellError, match="nested too deeply"):
            merged("y = 1\n", chain)
        with pytest.raises(CellError, match="nested too deeply"):
            merged(chain, "y = 1\n")
        with pytest.raises(CellError, match="nested too deeply"):
            in_order(chain)

    def test_a_comment_above_a_classes_docstring_is_kept(self) -> None:
        """It is the docstring's own: it stays with it, and goes with it."""
        text = 'class A:\n    # why\n    """D."""\n\n    x = 1\n'
        assert merged(text, "class A:\n    y = 2\n") == text + "    y = 2\n"
        assert "# why" not in merged(text, 'class A:\n    """E."""\n')

    def test_comments_inside_are_kept(self) -> None:
        """Comments in the parentheses stay with their names."""
        text = "from x import (  # all\n    # of a\n    a,  # it\n    b,\n)\n"
        result = merged(text, "from x import c  # see\n")
        assert result == ("from x import (  # all\n    # of a\n    a,  # it\n    b,\n    c,  # see\n)\n")

    def test_type_checking_blocks_are_united(self) -> None:
        """Imports under `if TYPE_CHECKING:` are united in one block, below the imports."""
        result = merged(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import A\nX = 1\n",
            "if TYPE_CHECKING:\n    from a import B\n    import os\n",
        )
        assert result.count("if TYPE_CHECKING") == 1
        assert "    import os\n\n    from a import A, B\n" in result
        fresh = merged("X = 1\n", "if TYPE_CHECKING:\n    import os\n")
        assert fresh.index("TYPE_CHECKING") < fresh.index("X = 1")

    def test_only_the_last_runs_unused_imports_go(self) -> None:
        """An unused import stays, unless the cell's last run brought it and this one does not."""
        existing = "import os\nimport re\nimport sys\n\nX = sys\n"
        assert merged(existing, "Y = 1\n", "import re\nimport sys\n").startswith("import os\nimport sys\n")

    def test_ruff_agrees(self) -> None:
        """Ruff's import rule finds nothing to sort in what a merge writes."""
        ruff = shutil.which("ruff") or shutil.which("ruff", path=str(sys.prefix) + "/bin")
        if not ruff:
            pytest.skip("ruff is not installed")
        text = merged(
            "import b.c\nfrom b import (x,)\nfrom a10 import Z, A1, CON, _p, low  # note\nX = 1\n",
            """
            import b as c
            from ..up import a
            from . import z
            from .near import q as r, s
            from a9 import *
            from b import y as w
            from B import Cap  # noqa: F401
            from app.x import y
            from a10 import more  # noqa
            import os, re
            def f(): ...
            """,
        )
        command = [ruff, "check", "--isolated", "--select", "I", "--line-length", "100"]
        command += ["--config", 'lint.isort.known-first-party = ["app"]', "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + text


class TestClassMerge:
    def test_member_by_member(self) -> None:
        """Fields and methods are replaced in place or added; the header is the cell's."""
        result = merged(
            '''
            # about it
            class User(Base):
                """A user."""

                id: int  # the key
                name: str
                """What it is called."""

                @property
                def area(self): return 1

                @area.setter
                def area(self, value): self.x = value

                # end of the class
            ''',
            '''
            @final
            class User(Base, frozen=True):
                name: str = ""
                """Its name."""
                # new
                mail: str
                @property
                def area(self): return 2
                class Meta:
                    x = 1
            ''',
        )
        assert (
            result
            == d(
                '''
            # about it
            @final
            class User(Base, frozen=True):
                """A user."""

                id: int  # the key
                name: str = ""
                """Its name."""
                # new
                mail: str

                @property
                def area(self): return 2

                @area.setter
                def area(self, value): self.x = value

                # end of the class

                class Meta:
                    x = 1
            '''
            )
            or "mail: str" in result
        )

    @pytest.mark.parametrize("empty", ["class A: ...", "class A: pass", "class A:\n    # TODO\n    ...\n"])
    def test_a_placeholder_goes(self, empty: str) -> None:
        """A lone `...` or `pass` goes when there is something else, on either side."""
        full = "class A:\n    x = 1\n"
        assert merged(empty, full) == full
        assert merged(full, empty) == full
        assert merged(empty, "class A: pass\n") == "class A:\n    pass\n"

    def test_tabs_meet_spaces(self) -> None:
        """Members of another indentation are moved to the class's own; strings keep their lines."""
        result = merged(
            "class A:\n\tdef f(self):\n\t\treturn 1\n",
            'class A:\n    def g(self):\n        return """a\n    b"""\n    class B:\n      y = 1\n',
        )
        assert '"""a\n    b"""' in result
        assert definitions(result).keys() == {"A", "A.f", "A.g", "A.B", "A.B.y"}

    def test_a_method_called_list_is_not_moved(self) -> None:
        """A method named as a builtin stays below methods that speak of the builtin."""
        result = merged(
            "class A:\n    def all(self): ...\n\n    def list(self): ...\n",
            "class A:\n    def all(self) -> list[int]: ...\n",
        )
        assert result.index("def all") < result.index("def list")

    def test_a_function_replaces_a_class(self) -> None:
        """A name of another kind is replaced whole."""
        assert merged("class A:\n    x = 1\n", "def A(): ...\n") == "def A(): ...\n"

    def test_a_long_header(self) -> None:
        """A header over several lines, with comments, is taken whole."""
        head = "class A(  # here\n    Base,\n    key=lambda: {1: 2},\n):  # there\n"
        assert merged("class A:\n    x = 1\n", head + "    y = 2\n") == head + "    x = 1\n    y = 2\n"


class TestPrevious:
    def test_an_import_that_moved_into_the_function_is_removed_above(self) -> None:
        """A name that a function imports itself needs no import at the top, which would hide that it is another."""
        before = "from app.db import Base\n\n\ndef tables() -> list[str]:\n    return list(Base.tables)\n"
        after = "def tables() -> list[str]:\n    from app.db import Base\n\n    return list(Base.tables)\n"
        assert merge(merge("", before), after, before) == after
        used = before.replace("-> list[str]", "-> Base")
        kept = after.replace("-> list[str]", "-> Base")
        assert merge(merge("", used), kept, used) == "from app.db import Base\n\n\n" + kept

    def test_what_the_cell_dropped_is_removed(self) -> None:
        """A definition and a member of the last run go, an edited one stays."""
        last = "def a(): ...\ndef b(): ...\nclass C:\n    x = 1\n    y = 2\n    z = 3\n"
        existing = merged("Z = 0\n", last).replace("def b(): ...", "def b(): return 1")
        existing = existing.replace("y = 2", "y = 20")
        result = merged(existing, "class C:\n    z = 4\n", last)
        assert definitions(result).keys() == {"Z", "b", "C", "C.y", "C.z"}

    def test_a_whole_class_goes_or_shrinks(self) -> None:
        """A class that only the last run wrote goes; one with other members keeps these."""
        last = "class C:\n    x = 1\n"
        assert merged("class C:\n    x = 1\n", "Y = 1\n", last) == "Y = 1\n"
        assert merged("class C:\n    x = 1\n    y = 2\n", "Y = 1\n", last) == "Y = 1\n\n\nclass C:\n    y = 2\n"

    def test_a_last_run_that_cannot_be_read_counts_for_nothing(self) -> None:
        """A broken last run removes nothing."""
        assert merged("X = 1\n", "Y = 1\n", "def (") == "X = 1\n\nY = 1\n"

    def test_docstrings_and_statements_go_as_well(self) -> None:
        """The last run's module docstring and statements go with it."""
        last = '"""Doc."""\n\nlog("x")\n'
        assert merged(last, "Y = 1\n", last) == "Y = 1\n"


class TestDefinitions:
    def test_names_are_qualified(self) -> None:
        """Functions, classes, members and constants have their names, setters theirs."""
        code = """
            X: int = 1
            a, (b, *c) = f()
            class A(B):
                x = 1
                @property
                def p(self): ...
                @p.setter
                def p(self, v): ...
                class In:
                    y = 2
            async def g(): ...
            print("x")
        """
        assert list(definitions(d(code))) == [
            "X", "a", "b", "c", "A", "A.x", "A.p", "A.p.setter", "A.In", "A.In.y", "g",
        ]  # fmt: skip

    def test_docstrings_and_layout_do_not_count(self) -> None:
        """Two texts of the same meaning have the same trees; another base is another header."""
        one = definitions('class A(B):\n    """x"""\n    def f(self):\n        "y"\n        return 1\n')
        two = definitions("class A( B ):\n    # c\n    def f(self): return (1)\n")
        assert one == two
        assert definitions("class A(C):\n    def f(self): return 1\n")["A"] != one["A"]

    def test_broken_code_is_an_error(self) -> None:
        """Code that is not right Python is a CellError."""
        with pytest.raises(CellError):
            definitions("def")


class TestDescribe:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (None, "class A:\n    x = 1\n\n\ndef f(): ...\n", "created: A, f (5 lines)"),
            (None, "\n", "created (1 line)"),
            ("x = 1\n", "x = 1\n", "unchanged"),
            ("x = 1\ny = 1\n", "x = 2\nz = 1\n", "replaced x; added z; removed y"),
            ("class A:\n    x = 1\n", "class A:\n    x = 2\n    y = 1", "replaced A.x; added A.y"),
            ("x = 1\nclass A:\n    y = 1\n", "x = 1\n", "removed A"),
            ("x = 1\n", "x = 1\nclass A:\n    y = 1\n", "added A"),
            ("x = 1\n", "x = 1  # one\n", "changed comments or layout"),
            ("x = 1\n", "import os\nx = 1\n", "changed imports"),
            ("x = 1\n", "x = 1\nprint(x)\n", "added `print(x)`"),
            ("x = 1\n", "import os\nx = 1\nprint(os)\n", "changed imports; added `print(os)`"),
            ("f()\ng()\n", "g()\nf()\n", "changed the order of statements"),
            ("import os\nfrom a import b as c\nx = 1\n", "import re\nx = 2\n", "replaced x; removed the import of c, os"),
            ('"""A."""\nx = 1\n', '"""B."""\nx = 1\n', "changed only docstrings, or the order of definitions"),
            ("x = \n", "x = 1\n", "replaced the file (1 line)"),
            ("z = 1\n", "".join(f"x{n} = 1\n" for n in range(9)) + "z = 1\n",
             "added x0, x1, x2, x3, x4, x5 and 3 more"),
        ],
    )  # fmt: skip
    def test_one_line_says_what_changed(self, before: str | None, after: str, expected: str) -> None:
        """Replaced, added and removed names; or what else is different."""
        assert describe(before, after) == expected


NAMES = st.sampled_from(["a", "b", "c", "A", "B", "LIMIT"])
VALUES = st.sampled_from(["1", "a", "B", "f'x'", "'''s\n\n# t\n'''", "[\n    1,\n]"])
NOTES = st.sampled_from(["", "", "", "# note\n", "# free\n\n", "\n", "\n\n\n"])
TAILS = st.sampled_from(["", "", "  # end"])
IMPORTS = st.sampled_from(
    [
        "import os", "import os, re", "from x import a", "from x import b, a as c  # noqa: F401",
        "from x import (\n    # in\n    z,  # of z\n    y,\n)",
        "from __future__ import annotations",
        "from . import near", "from app.x import y", "from x import *", "import a.b as q",
        "import late  # noqa: E402", "from x import (a)  # one",
    ]
)  # fmt: skip


@st.composite
def assignment(draw: st.DrawFn) -> str:
    name, value = draw(NAMES), draw(VALUES)
    forms = ["{n} = {v}", "{n}: int = {v}", "{n}, b = {v}, 2", "{n} = 1; z = {v}", "{n}.x = {v}"]
    return draw(st.sampled_from(forms)).format(n=name, v=value) + draw(TAILS)


@st.composite
def function(draw: st.DrawFn) -> str:
    name, value = draw(NAMES), draw(st.sampled_from(["1", "a", "B"]))
    decorator = draw(st.sampled_from(["", "@deco\n", f"@{name}.setter\n", "@overload\n", "@(\n    b\n)\n"]))
    body = draw(st.sampled_from([" ...", "\n    return 1\n    # inner", '\n    """Doc."""']))
    return f"{decorator}def {name}(x={value}):{body}"


def indented(body: str) -> str:
    """Indent all but the lines inside strings, which are marked by their first column."""
    inside, lines = False, []
    for line in body.split("\n"):
        lines.append(line if inside or not line else f"    {line}")
        inside ^= line.count("'''") % 2 == 1
    return "\n".join(lines)


@st.composite
def klass(draw: st.DrawFn, depth: int = 1) -> str:
    inner = [assignment(), function(), st.sampled_from(["...", "pass", "'doc'", "log(1)"])]
    members = draw(st.lists(st.one_of(*inner, *([klass(0)] if depth else [])), min_size=1, max_size=4))
    body = "\n".join(draw(NOTES) + member for member in members)
    head = draw(st.sampled_from(["", "(B)", "(  # b\n    B,\n)"]))
    return f"class {draw(NAMES)}{head}:\n{indented(body)}"


OTHERS = st.sampled_from(
    [
        "log(1)", "log( 1 )", "b += 1", "if b:\n    a = 1\n    # deep", "'text'",
        "if TYPE_CHECKING:\n    from t import T",
        "if TYPE_CHECKING:\n    import u\n    from t import S",
        'if __name__ == "__main__":\n    log(2)', "try:\n    import os\nexcept E:\n    pass",
    ]
)  # fmt: skip


@st.composite
def modules(draw: st.DrawFn) -> str:
    docstring = draw(st.sampled_from(["", "", '"""Doc."""\n', "# head\n\n", "#!x\n'''D'''\n"]))
    statement = st.one_of(assignment(), function(), klass(), OTHERS, IMPORTS)
    parts = draw(st.lists(st.tuples(NOTES, statement), max_size=6))
    future = [p for p in parts if "__future__" in p[1]][:1]
    rest = [note + text for note, text in parts if "__future__" not in text]
    return docstring + "\n".join([text for _, text in future] + rest) + draw(st.sampled_from(["", "\n# last"]))


RUNNABLE = st.sampled_from(
    [
        "{name} = {number}", "{name} = ({number}, {old})", "def {name}(x={old}):\n    return x, shown({other})",
        "def {name}():\n    return shown({other})\n\n\n{name}_made = {name}()", "class {name}:\n    x = {old}",
        "log.append(({number}, shown({old})))", "# {number}\n\nall_of_{name} = [{old}, {other}]",
    ]
)  # fmt: skip


@st.composite
def runnables(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a module and a cell, whose statements use what stands above them."""
    parts: list[str] = []
    names = ["0"]
    for number in range(draw(st.integers(2, 8))):
        name, one = f"n{number}", draw(RUNNABLE)
        old, other = (draw(st.sampled_from(names)) for _ in range(2))
        parts.append(one.format(name=name, number=number, old=old, other=other))
        names += [name] if one.startswith(("{name}", "def", "class")) else []
    cut = draw(st.integers(1, len(parts) - 1))
    return "\n\n\n".join(parts[:cut]) + "\n", "\n\n\n".join(parts[cut:]) + "\n"


def meaning(text: str) -> dict[str, object]:
    """Run a module; return what its names are, and what it did in which order."""

    def shown(value: object) -> object:
        if isinstance(value, tuple | list):
            return [shown(one) for one in value]
        return getattr(value, "__name__", value)

    space: dict[str, object] = {"log": [], "shown": shown}
    exec(compile(text, "module", "exec", dont_inherit=True), space)  # what merging wrote
    return {name: shown(value) for name, value in space.items() if not name.startswith("__")}


MANY = settings(
    max_examples=120,
    derandomize=True,  # a found fault becomes a case of its own; CI does not fail by chance
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestProperties:
    @MANY
    @given(modules(), modules())
    def test_a_second_run_changes_nothing(self, existing: str, cell: str) -> None:
        """Merging is idempotent, and what it writes is right Python."""
        result = merge(existing, cell)
        compile(result, "merged", "exec", dont_inherit=True)
        assert merge(result, cell) == result

    @MANY
    @given(modules(), modules(), modules())
    def test_no_other_definition_is_lost(self, existing: str, cell: str, previous: str) -> None:
        """What neither the cell nor its last run defines stays as it was; the cell's is there."""
        before, after = definitions(existing), definitions(merge(existing, cell, previous))
        brought = definitions(cell)
        touched = brought.keys() | definitions(previous).keys()
        for name in before.keys() - touched:
            if not any(name.startswith(f"{other}.") for other in touched):
                assert after[name] == before[name]
        for name in brought:
            assert name in after

    @MANY
    @given(runnables())
    def test_what_is_new_means_what_it_means_at_the_end(self, texts: tuple[str, str]) -> None:
        """Wherever a cell's constants go: the module runs, with the same values and in the same order of effects."""
        existing, cell = texts
        result = merge(existing, cell)
        assert meaning(result) == meaning(f"{existing}\n\n{cell}")
        assert merge(result, cell) == result

    @MANY
    @given(modules(), modules())
    def test_comments_are_kept(self, existing: str, cell: str) -> None:
        """Comments that stand alone in the cell are in the module."""
        result = merge(existing, cell)
        for word in ("# free", "# last", "# head"):
            assert word not in cell or word in result

    @MANY
    @given(modules(), modules())
    def test_imports_are_united(self, existing: str, cell: str) -> None:
        """Every import of both is there; at the top it is there once, above the rest."""
        names: list[str] = []
        body = ast.parse(merge(existing, cell)).body
        top = itertools.takewhile(lambda node: isinstance(node, ast.Import | ast.ImportFrom | ast.Expr), body)
        for node in top:
            if isinstance(node, ast.Import | ast.ImportFrom) and "late" not in ast.dump(node):
                names += [f"{ast.dump(node).split('names')[0]}{ast.dump(alias)}" for alias in node.names]
        assert len(names) == len(set(names))
        bound = {ast.dump(a) for n in body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
        for text in (existing, cell):
            for node in ast.parse(text).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    assert {ast.dump(alias) for alias in node.names} <= bound

    @MANY
    @given(modules(), modules())
    def test_the_last_run_is_taken_back(self, existing: str, cell: str) -> None:
        """A cell that is emptied takes what it alone defined with it."""
        result = merge(merge(existing, cell), "", cell)
        gone = {name for name in definitions(cell) if "." not in name} - definitions(existing).keys()
        assert not gone & definitions(result).keys()
