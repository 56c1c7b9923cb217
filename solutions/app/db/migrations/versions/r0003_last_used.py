"""A session's time of last use has a name that says so."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename last_seen_at; its values stay."""
    with op.batch_alter_table("login_sessions") as batch:
        batch.alter_column("last_seen_at", new_column_name="last_used_at")


def downgrade() -> None:
    """Give the column its old name."""
    with op.batch_alter_table("login_sessions") as batch:
        batch.alter_column("last_used_at", new_column_name="last_seen_at")
