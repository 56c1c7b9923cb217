"""Signing in: passwords become tokens, tokens become the current user."""
