"""The HTTP side of a service within the process of the test, without a worker: it starts in a moment."""

import secrets
from contextlib import ExitStack

from landbridge.jobs import db_audit, first_admin, passwords, users
from landbridge.jobs.db_tables import token as token_table
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import hash_of
from landbridge.server.service import Service, ServiceSettings, _listen, _served, idx, make_app
from tests.contract.api.caller import Api
from tests.servers.landbridge_service import State

PASSWORD = "correct horse battery staple"


class House:
    """A service with its database, and callers of it."""

    def __init__(self, folder, **settings):
        self.data = folder / "data"
        self.state = State(self.data, self.data)
        self.database = self.state.database
        self._hash = passwords.hashed(PASSWORD)
        self._tokens = {}
        self._stack = ExitStack()
        settings = ServiceSettings(data=self.data, port=0, **settings)
        self.service = Service(settings, self.database)
        idx.prepare(self.database, self.service.vault)
        self.app = make_app(self.service)
        listening = self._stack.enter_context(_listen(settings.host, 0))
        self._stack.enter_context(_served(self.app, listening, settings))
        scheme = "https" if settings.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
        self.state.close()

    def api(self, role=None, **options):
        """A caller with the token of a role, or without any."""
        if role is not None and role not in self._tokens:
            self._tokens[role] = self.state.token(role)
        return Api(self.url, token=self._tokens.get(role), **options)

    def user(self, role="viewer"):
        """A new user with ``PASSWORD``."""
        with self.database.write() as tx:
            email = f"{secrets.token_hex(4)}@people.example"
            return users.add(tx, email=email, role=Role(role), password_hash=self._hash, by="test")

    def browser(self, role="viewer", **options):
        """A browser in which a new user is logged in."""
        api, user = Api(self.url, **options), self.user(role)
        api.log_in(user.email, PASSWORD)
        return api, user

    def link(self):
        """The secret of a new set-up link."""
        with self.database.write() as tx:
            return first_admin.new_link(tx)

    def audited(self, action):
        """The lines of the audit trail with an action, the newest first."""
        with self.database.read() as tx:
            return db_audit.listing(tx, db_audit.Lines(action=action), limit=1000)

    def change_token(self, secret, **values):
        """Change columns of a token, as time would."""
        with self.database.write() as tx:
            tx.execute(token_table.update().where(token_table.c.secret_hash == hash_of(secret)).values(values))
