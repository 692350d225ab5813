"""A catalogue of a dozen components with real parameter models, enough to write flows with."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from landbridge.components.params import ComponentParams, Param
from landbridge.dataflow import ComponentInfo
from landbridge.errors import FlowError


class SftpParams(ComponentParams):
    host: str = Param("The server's name.", example="files.example.com")
    port: int = Param("The server's port.", default=22, ge=1, le=65535)
    username: str = Param("The login name.")
    password: str = Param("The password.", default="", secret=True)
    private_key: str = Param("The key.", default="", secret=True)
    remote_path: str = Param("The folder.", default="", aliases=("remoteDir",))
    sort_order: str | int = Param("The order.", default="ASC")

    @model_validator(mode="after")
    def _one_credential(self):
        if not self.password and not self.private_key:
            raise ValueError("give a password or a privateKey")
        return self


class DsvParams(ComponentParams):
    file_name: str = Param("The file's name.", example="users.csv")
    column_separator: str = Param("Between columns.", default=",")
    max_file_size: int = Param("Where a new file begins.", default=5000, unit="MB")


class Pair(ComponentParams):
    source_field: str = Param("The field to take.", example="profile.email")
    target_field: str = Param("The field to make.", example="EMAIL")


class RenameParams(ComponentParams):
    fields: list[Pair] = Param("What becomes what.")


class OpenParams(BaseModel):
    """Takes any key, and holds another model."""

    model_config = ConfigDict(extra="allow")

    pair: Pair | None = None
    colour: Literal["red", "blue"] = "red"

    @field_validator("colour", mode="before")
    @classmethod
    def _refuse(cls, value):
        if value == "house error":
            raise FlowError("LB-1999", "not this one", hint="another one")
        if value == "bug":
            raise RuntimeError(value)
        if value == "wrong":
            raise ValueError("This is not a colour")
        return value


class ReaderParams(ComponentParams):
    select: str = Param("The fields.", default="*")
    where: str = Param("The condition.", default="")


def _info(id_, kind, inputs, outputs, params=None, *, errors=False):
    return ComponentInfo(id_, id_, kind, inputs, outputs, errors, params)


class SmallCatalogue:
    def __init__(self):
        components = [
            _info("datasource.read.sftp", "file_reader", "none", "files", SftpParams),
            _info("datasource.read.gigya.account", "record_reader", "none", "records", ReaderParams),
            _info("file.parse.dsv", "parser", "files", "records", errors=True),
            _info("field.rename", "transform", "records", "records", RenameParams, errors=True),
            _info("field.replace", "transform", "records", "records", errors=True),
            _info("field.open", "transform", "records", "records", OpenParams, errors=True),
            _info("record.evaluate", "transform", "records", "records", errors=True),
            _info("file.format.dsv", "formatter", "records", "files", DsvParams),
            _info("file.format.json", "formatter", "records", "files"),
            _info("file.empty", "formatter", "records", "files"),
            _info("file.compress.gzip", "file_transform", "files", "files"),
            _info("datasource.write.sftp", "file_writer", "files", "files", SftpParams),
            _info("datasource.write.gigya.account", "record_writer", "records", "records", errors=True),
        ]
        self._components = {component.id: component for component in components}

    def ids(self):
        return sorted(self._components)

    def describe(self, wanted, /):
        return self._components.get(wanted)

    def with_failing(self, failing, failure):
        """The same catalogue in which looking up one component raises."""
        broken = SmallCatalogue()
        describe = broken.describe

        def raising(wanted, /):
            if wanted == failing:
                raise failure
            return describe(wanted)

        broken.describe = raising
        return broken


def step(id_, component, succeeded=(), failed=(), **params):
    """A step as JSON."""
    result = {"id": id_, "type": component}
    if params:
        result["params"] = params
    if succeeded:
        result["next"] = list(succeeded)
    if failed:
        result["error"] = list(failed)
    return result


def export_flow():
    """Accounts to a compressed file on an SFTP server, with a marker file behind it."""
    sftp = {"host": "files.example.com", "username": "me", "password": "${secret:files}"}
    return {
        "name": "Export",
        "steps": [
            step("sftp", "datasource.write.sftp", **sftp),
            step("csv", "file.format.dsv", ["gzip"], fileName="users_${now:yyyyMMdd}.csv"),
            step("account", "datasource.read.gigya.account", ["rename"], select="UID,profile.email"),
            step("gzip", "file.compress.gzip", ["sftp"]),
            step(
                "rename",
                " field.rename",
                ["csv", "done"],
                fields=[{"sourceField": "profile.email", "targetField": "EMAIL"}],
            ),
            step("done", "file.empty", ["sftp"], fileName="users.ok"),
        ],
    }
