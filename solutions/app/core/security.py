"""Passwords. A placeholder until chapter 07, which replaces it by a real hash."""


async def hash_password(password: str) -> str:
    """Return "!", which is no hash: the user can be stored, but nobody can sign in as them."""
    return "!"
