"""The vendor's wire format as a server sees it, shared by the local site and by the service's ``idx.*`` methods.

``requests`` reads the parameters of a call, ``authentication`` finds out who calls, ``replies`` holds error codes and
the envelope, ``transport`` writes a reply as HTTP, ``cursors`` remembers searches that are being paged through.
"""
