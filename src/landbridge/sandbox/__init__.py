"""Emulated vendors: to try, test and rehearse a dataflow before any credential exists."""
