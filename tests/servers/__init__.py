"""Real servers on loopback ports, for tests and benchmarks.

Each class is a context manager that starts its server on a free port and ends it. A server whose program is
not installed raises ``MissingPart``; ``scripts/real-parts`` installs all of them.
"""

from tests.servers.process import MissingPart, free_port

__all__ = ["MissingPart", "free_port"]
