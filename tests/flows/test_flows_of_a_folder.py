"""Every dataflow of the folder that ``LANDBRIDGE_FLOWS`` names, run against a site and sshd.

Exported dataflows lack their credentials, so the stores are replaced by an SSH server and an S3 server of the tests,
secrets and placeholders are filled in, and platforms that are not there are replaced by a JSON file. Everything else
is run as it was exported.
"""

import json
import os
import re
from pathlib import Path

import pytest

from landbridge.components.registry import ids
from tests.flows.conftest import PEOPLE

FOLDER = os.environ.get("LANDBRIDGE_FLOWS")
FILES = sorted(Path(FOLDER).glob("*.json")) if FOLDER else []
pytestmark = pytest.mark.skipif(not FILES, reason="LANDBRIDGE_FLOWS names no folder with dataflows")

FILE_INPUT = ("datasource.write.silverpop",)
GIGYA_SECRETS = ("apiKey", "userKey", "secret", "privateKey")


VALUES = {
    "(?i)uid": lambda uid: uid,
    "(?i)mail": lambda uid: f"{uid}@example.com",
    "(?i)gender": lambda uid: "f",
    "(?i)year": lambda uid: "1980",
    "(?i)month|day|age": lambda uid: "7",
}
"""Values by the names of fields, where the profile's schema does not take just any text."""


class Rewiring:
    """Puts what is there in place of what an export lacks."""

    def __init__(self, place, s3):
        self._place = place
        self._s3 = s3
        self.replaced = []
        self.source = []

    def steps(self, steps):
        return [made for step in steps for made in self._step(dict(step))]

    def _step(self, step):
        kind, given = step["type"], dict(step.get("params") or {})
        params = {
            key: "4711" if isinstance(value, str) and set(value) == {"."} else value for key, value in given.items()
        }
        step["params"] = params
        if kind.endswith((".sftp", ".ftp")):
            return [{**step, "type": kind.replace(".ftp", ".sftp"), "params": {**params, **self._sftp(kind)}}]
        if kind == "datasource.write.amazon.s3":
            own = {
                "bucketName": self._s3.bucket("exported"),
                "accessKey": self._s3.access_key,
                "secretKey": self._s3.secret_key,
                "endpoint": self._s3.url,
            }
            return [{**step, "params": {**params, **own}}]
        if ".gigya." in kind:
            return [{**step, "params": {key: value for key, value in params.items() if key not in GIGYA_SECRETS}}]
        if kind.startswith("datasource.write."):
            self.replaced.append(kind)
            delivery = {"id": "delivery of the test", "type": "datasource.write.sftp", "params": self._sftp("write")}
            if kind.startswith("datasource.write.azure") or kind in FILE_INPUT:
                return [{**delivery, "id": step["id"]}]
            content = {"fileName": "delivered.json", "createEmptyFile": True}
            return [{**step, "type": "file.format.json", "params": content, "next": [delivery["id"]]}, delivery]
        if kind.startswith("datasource.read."):
            self.replaced.append(kind)
            own = {**self._sftp("read"), "fileNameRegex": ".*.json"}
            reader = {"id": "source of the test", "type": "datasource.read.sftp", "params": own, "next": [step["id"]]}
            return [reader, {**step, "type": "file.parse.json", "params": {}}]
        assert kind in ids(), f"{kind} is neither a component nor replaced"
        return [step]

    def _sftp(self, kind):
        ssh = self._place.ssh
        folder = "exported/in" if "read" in kind else "exported/out"
        login = {"host": ssh.host, "port": ssh.port, "username": ssh.username, "hostKey": ssh.public_key}
        return {**login, "password": "", "privateKey": "${secret:sftp-key}", "remotePath": folder}


def input_files(document, uids):
    """What an import reads: one record for each account, with a value for each field that the dataflow names."""
    pairs = [pair for step in document["steps"] for pair in (step.get("params") or {}).get("fields", ())]
    targets = {
        pair["sourceField"]: pair["targetField"] for pair in pairs if isinstance(pair, dict) and "sourceField" in pair
    }
    rows = []
    for number, uid in enumerate(uids):
        row = {}
        for name, target in {"UID": "UID", "email": "email", **targets}.items():
            *parents, last = name.strip("'").split(".")
            holder = row
            for key in parents:
                holder = holder.setdefault(key, {})
            known = (made(uid) for sign, made in VALUES.items() if re.search(sign, f"{last} {target}"))
            holder[last] = next(known, f"value {number}")
        rows.append(row)
    return rows


def as_csv(rows):
    flat = [{name: value for name, value in row.items() if isinstance(value, str)} for row in rows]
    head = list(flat[0])
    return "\n".join([",".join(head), *(",".join(row[name] for name in head) for row in flat)]) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_exported_dataflow_runs(path, place, s3, record_property):
    document = json.loads(path.read_text())
    if not document.get("steps"):
        pytest.skip("it has no steps")
    rewiring = Rewiring(place, s3)
    text = json.dumps({**document, "steps": rewiring.steps(document["steps"])})
    for name in set(re.findall(r"\{\{(\w+)\}\}", text)):
        place.values.setdefault(name, "" if name == "phoneNumber" else "filled")
    flow = place.command.folder / "flow.json"
    # Values that were hidden when the dataflow was exported; none of the replaced steps needs them any more.
    flow.write_text(text.replace("********", "c2VjcmV0"))
    uids = [row["UID"] for row in place.site.search(f"SELECT UID FROM accounts LIMIT {PEOPLE}")][:20]
    incoming, outgoing = place.folder("exported/in"), place.folder("exported/out")
    rows = input_files(document, uids)
    (incoming / "input.json").write_text(json.dumps(rows))
    (incoming / "input.csv").write_text(as_csv(rows))

    outcome = place.run(flow)

    counts = {
        name: (step["in"], step["out"], step["rejected"]) for name, step in outcome.report.get("steps", {}).items()
    }
    delivered = [file["name"] for file in outcome.report.get("files", [])]
    told = {"status": outcome.status, "records": counts, "files": delivered, "replaced": rewiring.replaced}
    record_property("outcome", json.dumps(told))
    assert outcome.code in (0, 3), outcome.err
    kinds = {step["type"] for step in document["steps"]}
    writes = [step["id"] for step in document["steps"] if step["type"].startswith("datasource.write.gigya")]
    if any("datasource.read.gigya" in kind for kind in kinds):
        assert outcome.code == 0, outcome.err
        assert delivered
        if "datasource.write.amazon.s3" not in kinds:
            assert all((outgoing / name).stat().st_size for name in delivered if not name.endswith(".ok"))
        assert max(number for number, _, _ in counts.values()) >= PEOPLE - 5
    for step in writes:
        taken, given, rejected = counts[step]
        assert taken == 20
        assert given + rejected == 20
        assert given, outcome.err
