"""Copy the dataflows of a site by ``idx.*`` alone: made as templates, filled in, drafted, scheduled, polled, removed.

It knows nothing of who answers: ``python copy_site.py SOURCE TARGET``, where each is a JSON object with the keys
``url``, ``apiKey``, ``userKey`` and ``secret``. It prints what it did as JSON.
"""

import json
import sys
import time
import urllib.parse
import urllib.request

TRIES = 20
PAUSE_S = 0.5
RETRIED = (403048, 500001)


class Site:
    """The idx.* methods of a site."""

    def __init__(self, text):
        settings = json.loads(text)
        self.url = settings.pop("url")
        self.credentials = settings

    def call(self, method, **parameters):
        """What a method answers; an error code other than 0 and "has not changed" ends the program."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        sent = {**self.credentials, **texts, "context": json.dumps({"method": method})}
        for _ in range(TRIES):
            body = urllib.parse.urlencode(sent).encode()
            with urllib.request.urlopen(f"{self.url}/{method}", body, timeout=30) as reply:
                answer = json.loads(reply.read() or "{}")
            if answer and answer["errorCode"] not in RETRIED:
                break
            time.sleep(1)
        if answer["errorCode"] not in (0, 403200):
            raise SystemExit(f"{method}: {answer['errorCode']} {answer['errorMessage']}: {answer.get('errorDetails')}")
        if json.loads(answer["context"])["method"] != method:
            raise SystemExit(f"{method}: the context was not echoed")
        return answer

    def search(self, query):
        """All pages of a search."""
        answer = self.call("idx.search", query=f"{query} LIMIT 2", openCursor=True)
        found = answer.get("result", [])
        while answer.get("nextCursorId") and answer["resultCount"]:
            answer = self.call("idx.search", cursorId=answer["nextCursorId"])
            found += answer.get("result", [])
        return found

    def wait_for(self, query, accepts=lambda records: records):
        """What a search finds when it finds what is waited for."""
        for _ in range(TRIES * 6):
            found = self.search(query)
            if accepts(found):
                return found
            time.sleep(PAUSE_S)
        raise SystemExit(f"waited in vain for {query}: {found}")


def copy_one(target, flow):
    """Copy one dataflow; gives what became of it."""
    kind = "" if flow["status"] == "published" else "Draft"
    table = "dataflow" if flow["status"] == "published" else "dataflow_draft"
    template = {**flow, "description": "{{description}}"}
    new_id = target.call(f"idx.createDataflow{kind}", data=template)["id"]
    target.wait_for(f"SELECT * FROM {table} WHERE id = '{new_id}'")
    filled = {**flow, "id": new_id, "description": "copied"}
    version = target.call(f"idx.setDataflow{kind}", data=filled)["version"]
    again = target.call(f"idx.setDataflow{kind}", data=filled)["errorCode"]
    return {"id": new_id, "name": flow["name"], "status": flow["status"], "version": version, "again": again}


def run_once(target, flow_id):
    """Run a copied dataflow once; gives the status of its job."""
    data = {"name": "copied_scheduler", "dataflowId": flow_id, "frequencyType": "once", "fullExtract": True}
    scheduling_id = target.call("idx.createScheduling", data=data)["id"]
    query = f"SELECT * FROM idx_job_status WHERE schedulingId = '{scheduling_id}'"
    jobs = target.wait_for(query, lambda found: found and found[0].get("endTime"))
    return {"scheduling": scheduling_id, "status": jobs[0]["status"], "trace": jobs[0]["trace"]}


def main(source, target):
    source, target = Site(source), Site(target)
    flows = source.search("SELECT * FROM dataflow") + source.search("SELECT * FROM dataflow_draft")
    copies = [copy_one(target, flow) for flow in flows]
    for copy in copies:
        if copy["status"] == "published":
            draft = {"name": copy["name"], "steps": [], "status": "draft"}
            copy["draft"] = target.call("idx.createDataflowDraft", data=draft)["id"]
            copy["job"] = run_once(target, copy["id"])
            hourly = {
                "id": "Will be generated upon creation",
                "name": "every hour",
                "dataFlowId": copy["id"],
                "frequencyType": "hour",
                "frequencyInterval": 1,
                "daysOfWeek": None,
                "nextJobStartTime": "2126-12-01T10:03:14.607Z",
            }
            hourly_id = target.call("idx.createScheduling", data=hourly)["id"]
            shown = target.call("idx.getScheduling", id=hourly_id)
            target.call("idx.setScheduling", data={**hourly, "id": hourly_id, "frequencyInterval": 2})
            copy["interval"] = [
                shown["frequencyInterval"],
                target.call("idx.getScheduling", id=hourly_id)["frequencyInterval"],
            ]
    schedulings = target.search("SELECT * FROM scheduling order By updateTime desc")
    for scheduling in schedulings:
        target.call("idx.deleteScheduling", id=scheduling["id"])
    for copy in copies:
        target.call("idx.deleteDataflow", id=copy["id"])
    left = [len(target.search(f"SELECT * FROM {table}")) for table in ("dataflow", "dataflow_draft", "scheduling")]
    return {"copies": copies, "schedulings": len(schedulings), "left": left}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:]), indent=2))
