"""The REST API under ``/api/v1``: everything that the command line can do, for programs and the console."""
