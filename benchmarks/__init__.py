"""Benchmarks: the same work by Landbridge, by its bare libraries, by the standard library and by other tools."""
