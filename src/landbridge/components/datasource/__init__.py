"""Readers, writers and lookups of stores and vendors."""
