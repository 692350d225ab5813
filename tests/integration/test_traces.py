"""Traces of jobs, as a collector of OpenTelemetry gets them."""

import gzip
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.contract.idx.flows import copying
from tests.servers.landbridge_service import Process, State


class Collector(ThreadingHTTPServer):
    """Takes traces by HTTP and keeps them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans, self.resources = {}, {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.resources |= values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.server.spans |= {span.name: span for span in scope.spans}
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def values(attributes):
    return {each.key: each.value.string_value or each.value.int_value for each in attributes}


@pytest.fixture
def collector():
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_job_is_a_span_with_one_for_each_step(tmp_path, collector):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.json").write_text('{"UID": "private"}\n{"UID": "2"}\n')
    environ = {**os.environ, "LANDBRIDGE_HOME": str(tmp_path / "home"), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    environ |= {"OTEL_SERVICE_NAME": "night jobs"}
    process = Process(["serve", "--data", str(tmp_path / "data"), "--port", "0"], environ, tmp_path / "log")
    state = State(tmp_path / "data", tmp_path / "data")
    job = state.wait_for(state.start(state.add_flow(copying(tmp_path)), full_extract=True))
    state.close()
    process.stop()  # sends what is left
    assert collector.resources["service.name"] == "night jobs"
    assert set(collector.spans) == {"job copying", "in", "parse", "dsv", "out"}
    whole = collector.spans["job copying"]
    told = values(whole.attributes)
    assert (told["landbridge.job.id"], told["landbridge.job.status"]) == (job.id, "succeeded")
    assert (told["landbridge.records.in"], told["landbridge.records.out"]) == (2, 2)
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == round(
        (job.ended - job.started).total_seconds() * 1e9
    )
    for name in ("in", "parse", "dsv", "out"):
        assert collector.spans[name].parent_span_id == whole.span_id
        assert collector.spans[name].end_time_unix_nano >= collector.spans[name].start_time_unix_nano
    assert values(collector.spans["parse"].attributes)["landbridge.records.out"] == 2
    assert "private" not in str(collector.spans)
    assert "Traceback" not in (tmp_path / "log").read_text()
