"""Dataflows for the tests."""

MASK = "********"


def lines(name="lines", **more):
    """Reads nothing and writes one empty marker: it can run."""
    return {"name": name, "description": "marker", "steps": [], **more}


def export(name="export", password="s3cret-of-the-store", **more):
    """A dataflow with a secret, which cannot reach its store."""
    return {
        "name": name,
        "description": "read > format > write",
        "steps": [
            {"id": "read", "type": "datasource.read.local", "params": {"path": "/nowhere"}, "next": ["parse"]},
            {"id": "parse", "type": "file.parse.json", "next": ["dsv"]},
            {"id": "dsv", "type": "file.format.dsv", "params": {"fileName": "out_${now}.csv"}, "next": ["write"]},
            {
                "id": "write",
                "type": "datasource.write.sftp",
                "params": {"host": "files.example.com", "username": "u", "password": password},
            },
        ],
        **more,
    }


def copying(folder, name="copying"):
    """Reads JSON lines of ``folder``/in and writes them to ``folder``/out."""
    return {
        "name": name,
        "steps": [
            {"id": "in", "type": "datasource.read.local", "params": {"path": f"{folder}/in"}, "next": ["parse"]},
            {"id": "parse", "type": "file.parse.json", "next": ["dsv"]},
            {"id": "dsv", "type": "file.format.dsv", "params": {"fileName": "copy_${jobId}.csv"}, "next": ["out"]},
            {"id": "out", "type": "datasource.write.local", "params": {"path": f"{folder}/out"}},
        ],
    }
