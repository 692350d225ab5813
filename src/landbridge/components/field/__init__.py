"""``field.*``: operations on the fields of a record, each a few Arrow calls on whole columns."""
