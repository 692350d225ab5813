"""The only place that opens a connection: clients of stores and vendors."""
