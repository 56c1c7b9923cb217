"""Login sessions know when they were last seen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the time; for the sessions that are there, it is when they were made."""
    with op.batch_alter_table("login_sessions") as batch:
        batch.add_column(sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE login_sessions SET last_seen_at = created_at")
    with op.batch_alter_table("login_sessions") as batch:
        batch.alter_column("last_seen_at", nullable=False)


def downgrade() -> None:
    """Take the time away."""
    with op.batch_alter_table("login_sessions") as batch:
        batch.drop_column("last_seen_at")
