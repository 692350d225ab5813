"""The tables of the control side. A change here needs a migration; a test compares the two.

Times are instants in UTC. ``revision`` counts the changes of a row, for compare-and-set. Columns named ``sealed`` hold
secrets or personal data, encrypted by the key of the installation.
"""

from __future__ import annotations

import sqlalchemy as sa

from landbridge.jobs.db_types import Bytes, Id, Instant, Json

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")

site = sa.Table(
    "site",
    metadata,
    sa.Column("api_key", Id, primary_key=True),
    sa.Column("site_id", sa.BigInteger),
    sa.Column("name", sa.Text, nullable=False, default=""),
    sa.Column("data_center", sa.Text, nullable=False, default=""),
    sa.Column("settings", Json),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
)

dataflow = sa.Table(
    "dataflow",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),  # published, draft
    sa.Column("draft_of", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE")),
    sa.Column("api_key", Id, nullable=False, default=""),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("last_runtime", Instant),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False, default=""),
    sa.Column("removed", Instant),
    sa.Index(None, "name"),
    sa.Index(None, "draft_of"),
)

dataflow_version = sa.Table(
    "dataflow_version",
    metadata,
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("created", Instant, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False, default=""),
)

scheduling = sa.Table(
    "scheduling",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("status", sa.String(16), nullable=False, default="ready"),
    sa.Column("planned_until", Instant),
    sa.Column("next_start", Instant),
    sa.Column("job_id", Id),
    sa.Column("revision", sa.Integer, nullable=False, default=1),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False, default=""),
    sa.Column("removed", Instant),
    sa.Index(None, "dataflow_id"),
    sa.Index(None, "next_start"),
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),  # run, test, dry_run, replay
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id"), nullable=False),
    sa.Column("dataflow_version", sa.Integer, nullable=False),
    sa.Column("dataflow_name", sa.Text, nullable=False),
    sa.Column("api_key", Id, nullable=False, default=""),
    sa.Column("scheduling_id", Id),
    sa.Column("planned", Instant),
    sa.Column("started_by", sa.Text, nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # the values of its placeholders
    sa.Column("accounts", Json, nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False, default=""),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),
    sa.Column("retry_of", Id),
    sa.Column("journal", Id, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False, default=0),
    sa.Column("starts", sa.Integer, nullable=False, default=0),
    sa.Column("admitted", Instant),
    sa.Column("handed_over", sa.Boolean, nullable=False, default=False),
    sa.Column("worker_id", Id),
    sa.Column("host", sa.Text, nullable=False, default=""),
    sa.Column("landbridge_version", sa.Text, nullable=False, default=""),
    sa.Column("created", Instant, nullable=False),
    sa.Column("started", Instant),
    sa.Column("ended", Instant),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("cancel_asked", Instant),
    sa.Column("cancel_by", sa.Text, nullable=False, default=""),
    sa.Column("records_in", Bytes, nullable=False, default=0),
    sa.Column("records_out", Bytes, nullable=False, default=0),
    sa.Column("rejected", Bytes, nullable=False, default=0),
    sa.Column("bytes", Bytes, nullable=False, default=0),
    sa.Column("error", Json),
    sa.Column("result", Json),  # what writers did or would have done, guards that tripped
    sa.Index(None, "dataflow_id", "created"),
    sa.Index(None, "scheduling_id", "created"),
    sa.Index(None, "created", "id"),
    sa.Index(None, "status"),
    sa.Index(None, "updated"),
)

job_total = sa.Table(
    "job_total",
    metadata,
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("status", sa.String(32), primary_key=True),
    sa.Column("took_up_to_s", sa.Integer, primary_key=True, autoincrement=False),  # see db_totals
    sa.Column("jobs", Bytes, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("records_in", Bytes, nullable=False),
    sa.Column("records_out", Bytes, nullable=False),
    sa.Column("rejected", Bytes, nullable=False),
    sa.Column("bytes", Bytes, nullable=False),
)
"""Sums over all jobs that ever ended; they outlive the jobs."""

job_step = sa.Table(
    "job_step",
    metadata,
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.String(1000), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("component", sa.Text, nullable=False),
    sa.Column("activity", sa.String(16), nullable=False),
    sa.Column("records_in", Bytes, nullable=False),
    sa.Column("records_out", Bytes, nullable=False),
    sa.Column("rejected", Bytes, nullable=False),
    sa.Column("filtered", Bytes, nullable=False),
    sa.Column("bytes", Bytes, nullable=False),
    sa.Column("files", Bytes, nullable=False),
    sa.Column("started", Instant),
    sa.Column("ended", Instant),
)

job_edge = sa.Table(
    "job_edge",
    metadata,
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("source", sa.String(1000), primary_key=True),
    sa.Column("target", sa.String(1000), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),  # next, error
    sa.Column("records", Bytes, nullable=False),
    sa.Column("bytes", Bytes, nullable=False),
)

job_split = sa.Table(
    "job_split",
    metadata,
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),  # waiting, running, done, failed
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("worker_id", Id),
    sa.Column("started", Instant),
    sa.Column("ended", Instant),
    sa.Column("error", Json),
    sa.Index(None, "state"),
)

job_file = sa.Table(
    "job_file",
    metadata,
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("bytes", Bytes, nullable=False),
    sa.Column("records", Bytes),
)

job_trace = sa.Table(
    "job_trace",
    metadata,
    sa.Column("id", _RowId, primary_key=True, autoincrement=True),
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),  # debug, info, warning, error
    sa.Column("step", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # the records of a sample
    sa.Index(None, "job_id", "id"),
    sa.Index(None, "at"),
)

delta_mark = sa.Table(
    "delta_mark",
    metadata,
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("mark", Instant),
    sa.Column("files", Json),
    sa.Column("job_id", Id),
    sa.Column("revision", sa.Integer, nullable=False, default=1),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False, default=""),
)

reject = sa.Table(
    "reject",
    metadata,
    sa.Column("id", _RowId, primary_key=True, autoincrement=True),
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    sa.Column("number", Bytes, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("file", sa.Text),
    sa.Column("line", Bytes),
    sa.Column("sealed", sa.LargeBinary),  # the record, or the text that could not be read as one
    sa.Column("created", Instant, nullable=False),
    sa.Column("replayed_by", Id),
    sa.UniqueConstraint("job_id", "number"),
    sa.Index(None, "created"),
)

consent = sa.Table(
    "consent",
    metadata,
    sa.Column("key", Id, primary_key=True),  # a UID, or the hash of an address
    sa.Column("purpose", sa.String(500), primary_key=True),
    sa.Column("at", Instant, nullable=False),
)
"""Opt-outs; see ``consents``."""

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("params", Json, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("revision", sa.Integer, nullable=False, default=1),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False, default=""),
)

user = sa.Table(
    "user",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, default=""),
    sa.Column("role", sa.String(16), nullable=False),  # viewer, operator, editor, admin
    sa.Column("password_hash", sa.Text),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("last_login", Instant),
)

token = sa.Table(
    "token",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("user_id", Id, sa.ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # api, session
    sa.Column("name", sa.Text, nullable=False, default=""),
    sa.Column("secret_hash", sa.String(128), nullable=False, unique=True),
    sa.Column("scopes", Json),
    sa.Column("created", Instant, nullable=False),
    sa.Column("expires", Instant),
    sa.Column("last_used", Instant),
    sa.Column("revoked", Instant),
    sa.Index(None, "user_id"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _RowId, primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("object_kind", sa.Text, nullable=False, default=""),
    sa.Column("object_id", sa.Text, nullable=False, default=""),
    sa.Column("address", sa.Text, nullable=False, default=""),
    sa.Column("details", Json),
    sa.Index(None, "at"),
    sa.Index(None, "object_kind", "object_id"),
)

worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("landbridge_version", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # active, stopping, taken, gone
    sa.Column("started", Instant, nullable=False),
    sa.Column("heartbeat", Instant, nullable=False),
    sa.Column("taken_by", Id),
    sa.Index(None, "status"),
)

alert_rule = sa.Table(
    "alert_rule",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("dataflow_id", Id, sa.ForeignKey("dataflow.id", ondelete="CASCADE")),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("settings", Json, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False, default=""),
)

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("rule_id", Id, sa.ForeignKey("alert_rule.id", ondelete="CASCADE")),
    sa.Column("dataflow_id", Id),
    sa.Column("job_id", Id),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("occurrences", sa.Integer, nullable=False, default=1),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text),  # why the last attempt to tell it failed
    sa.Column("details", Json),
    sa.Column("created", Instant, nullable=False),
    sa.Column("updated", Instant, nullable=False),
    sa.Column("closed", Instant),
    sa.Index(None, "closed"),
    sa.Index(None, "status"),
    sa.Index(None, "job_id"),
)

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("job_id", Id, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("code", Id, primary_key=True),
    sa.Column("step", sa.Text, nullable=False, default=""),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("details", Json),
    sa.Column("asked", Instant, nullable=False),
    sa.Column("answered", Instant),
    sa.Column("answered_by", sa.Text, nullable=False, default=""),
    sa.Column("decision", sa.String(16), nullable=False, default=""),  # approved, refused
)

setting = sa.Table(
    "setting",
    metadata,
    sa.Column("name", Id, primary_key=True),
    sa.Column("value", Json),
    sa.Column("updated", Instant, nullable=False),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column("area", Id, primary_key=True),
    sa.Column("count", Bytes, nullable=False),
)
"""How often the rows of an area changed: who waits for changes looks at one row."""
