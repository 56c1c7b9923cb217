"""Items: things with a price, each owned by one user."""
