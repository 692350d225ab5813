"""Emulated vendors and invented people: to try, test and rehearse a dataflow before any credential exists."""
