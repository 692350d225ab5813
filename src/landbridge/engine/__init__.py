"""Runs a plan: drives the steps, counts every edge, cancels, times out. No sockets and no SQL here."""
