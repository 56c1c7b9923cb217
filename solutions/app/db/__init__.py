"""The database: engine, sessions, the base of all tables, generic queries."""
