"""HTTP: the service that runs jobs, and what it answers."""
