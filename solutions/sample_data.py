"""Sample data for `workbook demo`: people and their things, made through the API."""

import httpx

PREFIX = "/api/v1"
PASSWORD = "Correct horse"  # for everyone to read
SETTINGS = {"FIRST_ADMIN_EMAIL": "admin@example.com", "FIRST_ADMIN_PASSWORD": PASSWORD}
PEOPLE = {
    "ada": "Ada Lovelace",
    "grace": "Grace Hopper",
    "alan": "Alan Turing",
}
ITEMS = {
    "ada": [("Notes on the Analytical Engine", "19.90"), ("Punched cards, 100 pieces", "4.50")],
    "grace": [
        ("A nanosecond of wire", "0.30"),
        ("A moth, dried", "12.00"),
        ("COBOL, first edition", "35.00"),
    ],
    "alan": [("Chess set", "48.00")],
}


def fill(base_url: str) -> list[str]:
    """Fill a running backend and sign in; what is there already stays as it is.

    Args:
        base_url: where it runs, such as `http://127.0.0.1:8000`.

    Returns:
        Lines that say what there is to look at, with the URLs of a signed-in session.

    Raises:
        httpx.HTTPError: it does not answer as the finished backend does.
    """
    with httpx.Client(base_url=f"{base_url}{PREFIX}", timeout=30) as client:
        sessions = {name: sign_up(client, name, full_name) for name, full_name in PEOPLE.items()}
        for name, items in ITEMS.items():
            put(client, sessions[name]["access_token"], items)
        return told(client, base_url, sessions["ada"])


def sign_up(client: httpx.Client, name: str, full_name: str) -> dict[str, str]:
    """Register somebody, or sign in who is registered already; return the tokens."""
    data = {
        "email": f"{name}@example.com",
        "username": name,
        "full_name": full_name,
        "password": PASSWORD,
    }
    answer = client.post("/auth/register", json=data)
    if answer.status_code == httpx.codes.CONFLICT:
        answer = client.post("/auth/login", data={"username": name, "password": PASSWORD})
    tokens: dict[str, str] = answer.raise_for_status().json()
    return tokens


def put(client: httpx.Client, token: str, items: list[tuple[str, str]]) -> None:
    """Give somebody items, unless there are some."""
    headers = {"Authorization": f"Bearer {token}"}
    if client.get("/items", headers=headers).raise_for_status().json():
        return
    for title, price in items:
        client.post(
            "/items", headers=headers, json={"title": title, "price": price}
        ).raise_for_status()


def told(client: httpx.Client, base_url: str, tokens: dict[str, str]) -> list[str]:
    """Return the lines for a terminal: where to look, and a session's URLs."""
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    first = client.get("/items", headers=headers).raise_for_status().json()[0]
    paths = ["/users/me", "/items?sort=-price", f"/items/{first['id']}"]
    return [
        f"documentation: {base_url}/docs",
        f'sign in there with "Authorize": ada, grace, alan or admin; the password is "{PASSWORD}"',
        "",
        "Ada is signed in. Paste this line into a terminal, then any of the others:",
        f"TOKEN={tokens['access_token']}",
        *(f'curl -H "Authorization: Bearer $TOKEN" "{base_url}{PREFIX}{path}"' for path in paths),
    ]
