"""Who may do what to whose things: everybody asks for everything."""

from app.attacks.shop import Shop

ROUTES = (
    ("GET", "/items/{id}", None),
    ("PATCH", "/items/{id}", {"title": "Seen"}),
    ("DELETE", "/items/{id}", None),
    ("GET", "/users/{id}", None),
    ("PATCH", "/users/{id}", {"full_name": "Seen"}),
    ("DELETE", "/users/{id}", None),
)
WHO = ("nobody", "other", "owner", "admin")
STRANGERS = ("nobody", "other")
MISSING = 2_000_000_000  # nothing has this id
Cells = dict[tuple[str, str, str], int]  # who, route, and "theirs" or "missing": the status


async def matrix(shop: Shop) -> Cells:
    """Let everybody ask for everything; return the statuses."""
    cells: Cells = {}
    for method, path, body in ROUTES:
        for who in WHO:
            owner, other = await shop.newcomer(), await shop.newcomer()
            people = {"nobody": None, "other": other, "owner": owner, "admin": await shop.admin()}
            thing = await shop.pen(owner) if path.startswith("/items") else owner.id
            for whose, id in (("missing", MISSING), ("theirs", thing)):
                answer = await shop.ask(method, path.format(id=id), by=people[who], json=body)
                cells[who, f"{method} {path}", whose] = answer.status_code
    return cells


def holes(cells: Cells) -> list[str]:
    """Return the routes that let strangers in, or tell them what exists."""
    return sorted(
        {
            route
            for (who, route, whose), status in cells.items()
            if who in STRANGERS and whose == "theirs"
            if status < 400 or status != cells[who, route, "missing"]
        }
    )
