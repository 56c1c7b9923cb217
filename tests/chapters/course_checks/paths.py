"""Where the app's routes lie."""

API = "/api/v1"
USERS = f"{API}/users"
LOGIN, REGISTER, REFRESH, LOGOUT = (f"{API}/auth/{name}" for name in ("login", "register", "refresh", "logout"))
