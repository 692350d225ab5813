"""The SQL-like search language of ``accounts.search``, ``ds.search``, ``audit.search`` and ``idx.search``.

One grammar, one meaning, two ways to run it: ``parse`` reads a query, ``search`` runs it over records in memory, and
``landbridge.search.sql`` compiles its conditions to SQL over a table of JSON documents.

What a condition means (the vendor documents the surface, not every corner; the corners are fixed here):

* A path runs through arrays: ``profile.likes.name`` names every ``name`` below every element, as in the lax mode of
  SQL/JSON. A comparison holds where any of the values holds it.
* There are two truth values. What is absent or null compares false, and ``!=`` is the opposite of ``=``, so that it
  holds where the field is absent.
* A literal is read in the type of the value it meets: ``"5"`` equals the number 5, ``true`` equals the text ``true``.
* Text compares by code point and by case.
"""

from landbridge.search.errors import QueryError
from landbridge.search.evaluate import Result, matches, project, search
from landbridge.search.parser import parse
from landbridge.search.query import Query

__all__ = ["Query", "QueryError", "Result", "matches", "parse", "project", "search"]
