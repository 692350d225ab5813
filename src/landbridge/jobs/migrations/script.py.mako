"""${message}."""

import sqlalchemy as sa
from alembic import op

from landbridge.jobs.db_types import Instant, Json

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Apply."""
    ${upgrades if upgrades else "pass"}
