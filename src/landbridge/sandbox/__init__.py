"""Emulated vendors: HTTP APIs and SFTP folders that behave as the vendors document, on this machine.

With them a dataflow is developed, tested and rehearsed before any credential of a vendor exists. In a test or a demo
they run in the same process::

    async with Sandbox("silverpop") as sandbox:
        connection = sandbox["silverpop"].connection()      # address, credentials, ids: the component's parameters
        sandbox.faults.add(Fault("lost_reply", operation="AddRecipient", times=2))
        sandbox.switch("silverpop", api_user_zone="Europe/Zurich")
        ...
        contacts = {table.name: table.rows for table in sandbox["silverpop"].tables()}["contacts"]

``landbridge sandbox serve`` runs them as a process of their own, with a page for people and JSON for tests
(``pages.py``).

How a vendor is added
---------------------
1. A module ``sandbox/<name>.py`` (or a package of that name) with one subclass of ``Vendor`` (``vendor.py``):
   ``name``, ``title``, ``folders`` of its SFTP user, ``routes()`` below ``/<name>``, ``connection()``, ``tables()``,
   ``file_arrived(path)`` where it reacts to files, ``file_connection()`` where its files have credentials of their
   own, and ``actions()`` for what people do in its own pages, such as to define jobs. What nobody outside knows for
   certain is a field of its ``Switches`` dataclass, with the safest guess as default.
2. Its line in ``vendors.py``.

What the vendor gets is a ``Frame``: ``collection(name)`` remembers JSON objects (also after a restart, where the
sandbox has a folder), ``secret(name)`` and ``number(name)`` give credentials and ids that stay, ``folder`` is the root
of its SFTP user, ``start(coroutine)`` runs a job in the background. Faults are asked for where they happen:
``frame.strike("token_expiry", operation)`` gives the fault or None, ``frame.reply(operation, response)`` wraps each
reply (``lost_reply``), ``frame.broken(operation, content)`` each file that is written (``broken_file``).
"""

from landbridge.sandbox.faults import Fault
from landbridge.sandbox.sandbox import Sandbox

__all__ = ["Fault", "Sandbox"]
