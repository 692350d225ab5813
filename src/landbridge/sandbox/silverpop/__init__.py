"""Silverpop Engage, today Acoustic Campaign: token endpoint, XML API, import and export jobs, relational tables."""

from landbridge.sandbox.silverpop.vendor import Silverpop

__all__ = ["Silverpop"]
