"""JEXL, the expression language of ``field.evaluate``: grammar, values, and two ways to evaluate with one result."""
