"""The matrix of who may do what, as it is right (chapter 15)."""

ITEM_ROUTES = ("GET /items/{id}", "PATCH /items/{id}", "DELETE /items/{id}")
USER_ROUTES = ("GET /users/{id}", "PATCH /users/{id}", "DELETE /users/{id}")


def right_cells():
    """Return the matrix of an app that is right."""
    cells = {}
    for route in (*ITEM_ROUTES, *USER_ROUTES):
        good = 204 if route.startswith("DELETE") else 200
        managed = route in USER_ROUTES[1:]
        rows = {
            "nobody": (401, 401),
            "other": (403, 403) if managed else (404, 404),
            "owner": (403, 403) if managed else (good, 404),
            "admin": (good, 404),
        }
        for who, (theirs, missing) in rows.items():
            cells[who, route, "theirs"], cells[who, route, "missing"] = theirs, missing
    return cells
