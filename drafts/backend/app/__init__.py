"""The users, auth and items backend: an async web API built with FastAPI."""
