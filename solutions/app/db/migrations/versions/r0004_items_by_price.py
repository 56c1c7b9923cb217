"""An index for pages of one owner's items by price."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_items_owner_id_price", "items", ["owner_id", "price"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_index("ix_items_owner_id_price", table_name="items")
