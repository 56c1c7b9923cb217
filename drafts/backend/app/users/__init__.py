"""Users: who they are, and the rules for creating and changing them."""
