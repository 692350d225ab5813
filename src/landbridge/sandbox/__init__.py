"""Emulated vendors and servers: for demos, tests and rehearsals before any credential exists."""
