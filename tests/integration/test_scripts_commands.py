"""landbridge script, and lint of scripts."""

import base64
import json

import pytest
from typer.testing import CliRunner

from landbridge.cli.app import app
from landbridge.errors import LandbridgeError
from tests.integration.script_runs import body, flow, into, script

GOOD = body("logger.info('seen', record.a); if (record.a === 2) throw new Error('two'); return record;")


def write(tmp_path, code=GOOD, encoded=True):
    text = base64.b64encode(code.encode()).decode() if encoded else code
    document = flow(tmp_path, script("my step?", text, then=["all"], error=[]), *into(tmp_path, "all"))
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path


def command(*arguments):
    return CliRunner().invoke(app, ["script", *map(str, arguments)])


def test_a_step_runs_on_sample_records_and_shows_what_becomes_of_them(tmp_path):
    sample = tmp_path / "sample.json"
    sample.write_text('[{"a": 1}, {"a": 2}]')
    result = command("run", write(tmp_path), "my step?", "--sample", sample)
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "input: 2",
        '  {"a": 1}',
        '  {"a": 2}',
        "output: 1",
        '  {"a": 1}',
        "error: 1",
        '  {"code": "LB-4603", "message": "Error: two (line 2, column 58)", "record": {"a": 2}}',
        "log: 3",
        "  info: seen 1",
        "  info: seen 2",
        "  warning: the script failed at 1 record, first at line 2, column 58",
    ]


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": 3}\n', '\ufeff[{"a": 1}, {"a": 3}]', '{"a": 1}\r\n\r\n{"a": 3}'])
def test_samples_may_be_an_array_or_lines(tmp_path, text):
    sample = tmp_path / "sample.json"
    sample.write_text(text)
    result = command("run", write(tmp_path), "my step?", "--sample", sample, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["output"] == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize(
    ("step", "text", "code"),
    [("other", "[]", "LB-1621"), ("parse", "[]", "LB-1621"), ("my step?", "nothing", "LB-1622")],
)
def test_what_cannot_be_tried_is_a_clear_error(tmp_path, step, text, code):
    sample = tmp_path / "sample.json"
    sample.write_text(text)
    result = command("run", write(tmp_path), step, "--sample", sample)
    assert isinstance(result.exception, LandbridgeError)
    assert result.exception.code == code


def test_a_step_with_a_wrong_parameter_is_told_and_not_tried(tmp_path):
    document = flow(tmp_path, script("s", GOOD, timeout="soon", then=["all"]), *into(tmp_path, "all"))
    path, sample = tmp_path / "flow.json", tmp_path / "sample.json"
    path.write_text(json.dumps(document))
    sample.write_text("[]")
    result = command("run", path, "s", "--sample", sample)
    assert isinstance(result.exception, LandbridgeError)
    assert result.exception.code == "LB-1073"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_secret_that_a_script_throws_or_logs_is_not_shown(tmp_path, monkeypatch, form):
    monkeypatch.setenv("LANDBRIDGE_SECRET_K", "kept-to-myself")
    code = body("logger.info(ctx.parameters.k); throw new Error(ctx.parameters.k);")
    document = json.loads(write(tmp_path, code).read_text())
    document["steps"][2]["params"]["parameters"] = {"k": "${secret:k}"}
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(document))
    (tmp_path / "sample.json").write_text('{"a": 1}')
    result = command("run", path, "my step?", "--sample", tmp_path / "sample.json", *form)
    assert result.exit_code == 3
    assert result.stdout.count("********") == 2
    assert "kept-to-myself" not in result.stdout


@pytest.mark.parametrize("encoded", [True, False])
def test_scripts_go_to_files_and_back(tmp_path, encoded):
    path = write(tmp_path, encoded=encoded)
    before = path.read_bytes()
    assert command("extract", path).exit_code == 0
    file = tmp_path / "flow.my-step.js"
    assert file.read_text() == GOOD
    assert command("embed", path).stdout == "my step?: unchanged\n"
    assert path.read_bytes() == before
    changed = GOOD.replace("two", "zwei: 2é")
    file.write_text(changed)
    assert command("embed", path).exit_code == 0
    stored = json.loads(path.read_text())["steps"][2]["params"]["script"]
    assert (base64.b64decode(stored).decode() if encoded else stored) == changed
    # Nothing but the script has changed, not even the layout.
    old, new = before.decode().splitlines(), path.read_text().splitlines()
    assert [index for index, (a, b) in enumerate(zip(old, new, strict=True)) if a != b] == [
        next(index for index, line in enumerate(old) if '"script"' in line)
    ]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_embedding_keeps_every_byte_but_the_script(tmp_path, bom):
    text = (
        '{ "name":"x" ,\r\n\t"ui": {"x": 1.50, "caf\\u00e9": "\\/", "note": "a \\"script\\": \\"b\\""},\r\n'
        ' "steps":[ {"id":"a","type":"record.evaluate","params":{"script" : "SAME","z":"SAME"},"next":["b"] },\r\n'
        '{"id":"b","type":"record.evaluate", "params":{"script":"SAME" , "memoryLimit": 3e2}}]}  '
    )
    same = "function process(r) { return r; }"
    path = tmp_path / "flow.json"
    path.write_bytes(bom + text.replace("SAME", same).encode())
    command("extract", path)
    new = 'function process(r) { return {...r, "é": "\\n"}; }'
    (tmp_path / "flow.b.js").write_text(new)
    assert command("embed", path).stdout == f"a: unchanged\nb: from {tmp_path / 'flow.b.js'}\n"
    head, _, tail = text.rpartition('"SAME"')
    wanted = head.replace("SAME", same) + json.dumps(new, ensure_ascii=True) + tail
    assert path.read_bytes() == bom + wanted.encode()


def test_a_dataflow_in_utf_16_gets_its_script_and_becomes_utf_8(tmp_path):
    path = write(tmp_path, encoded=False)
    path.write_bytes(path.read_text().encode("utf-16"))
    command("extract", path)
    changed = GOOD.replace("two", "zwei")
    (tmp_path / "flow.my-step.js").write_text(changed)
    assert command("embed", path).exit_code == 0
    assert json.loads(path.read_text())["steps"][2]["params"]["script"] == changed


def test_a_script_that_does_not_compile_is_not_embedded(tmp_path):
    path = write(tmp_path)
    command("extract", path)
    (tmp_path / "flow.my-step.js").write_text("function process(r) {")
    before = path.read_bytes()
    result = command("embed", path)
    assert result.exit_code == 1
    assert result.exception.code == "LB-1601"
    assert path.read_bytes() == before


def test_a_file_that_somebody_has_edited_is_overwritten_only_by_force(tmp_path):
    path = write(tmp_path)
    command("extract", path)
    assert command("extract", path).exit_code == 0
    file = tmp_path / "flow.my-step.js"
    file.write_text("// work of a day")
    result = command("extract", path)
    assert (result.exit_code, result.exception.code) == (1, "LB-1624")
    assert "flow.my-step.js" in result.exception.message
    assert file.read_text() == "// work of a day"
    assert command("extract", path, "--force").exit_code == 0
    assert file.read_text() == GOOD


def test_two_steps_of_nearly_the_same_name_have_files_of_their_own(tmp_path):
    document = flow(
        tmp_path, script("a b", GOOD, then=["a-b"]), script("a-b", GOOD, then=["all"]), *into(tmp_path, "all")
    )
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(document))
    command("extract", path)
    assert sorted(found.name for found in tmp_path.glob("*.js")) == ["flow.a-b-2.js", "flow.a-b.js"]


def test_embedding_without_files_is_an_error(tmp_path):
    assert command("embed", write(tmp_path)).exception.code == "LB-1623"


def test_lint_names_line_and_column_of_a_script_that_does_not_compile(tmp_path):
    result = CliRunner().invoke(app, ["lint", "--json", str(write(tmp_path, body("return record..a;")))])
    assert result.exit_code == 1
    ((found,),) = [entry["problems"] for entry in json.loads(result.stdout)]
    assert (found["code"], found["step"], found["severity"]) == ("LB-1601", "my step?", "error")
    assert "line 2, column 15" in found["message"]
