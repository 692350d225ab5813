"""file.encrypt.pgp and file.decrypt.pgp, against GnuPG."""

import base64
import os
import subprocess
import time

import pysequoia
import pytest

from landbridge.components.base import FileStart
from landbridge.components.file import pgp
from landbridge.errors import DataError, FlowError, Stalled, StorageError
from tests.contract.codecs.contract import CodecContract, children, csv_like, files, make
from tests.servers.process import find_program

SEQUOIA_KEY = pysequoia.Tsk.generate("Somebody Else <else@example.com>")


class GnuPG:
    """The gpg program with a key ring of its own."""

    def __init__(self, home):
        self.home = home
        home.mkdir(mode=0o700)

    def __call__(self, *arguments, content=b""):
        command = [
            find_program("gpg"),
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            *arguments,
        ]
        env = {**os.environ, "GNUPGHOME": str(self.home)}
        done = subprocess.run(command, input=content, capture_output=True, check=False, env=env)
        assert not done.returncode, done.stderr
        return done.stdout

    def make_key(self, user, *kind, passphrase=""):
        """Its public and its private form."""
        self(
            "--passphrase",
            passphrase,
            "--quick-gen-key",
            user,
            *(kind or ("future-default", "default")),
            "never",
        )
        public = self("--armor", "--export", user)
        private = self("--passphrase", passphrase, "--armor", "--export-secret-keys", user)
        return public.decode(), private.decode()

    def stop(self):
        env = {**os.environ, "GNUPGHOME": str(self.home)}
        subprocess.run([find_program("gpgconf"), "--kill", "all"], env=env, check=True)


@pytest.fixture(scope="module")
def gpg(tmp_path_factory):
    # a socket of gpg-agent lies in the home folder, and its path must be short
    program = GnuPG(tmp_path_factory.mktemp("g") / "h")
    yield program
    program.stop()


@pytest.fixture(scope="module")
def keys(gpg):
    return gpg.make_key("test@example.com")


class TestPgp(CodecContract):
    shrink, expand, suffix = "file.encrypt.pgp", "file.decrypt.pgp", ".pgp"
    is_deterministic = False

    @pytest.fixture(autouse=True)
    def _gpg(self, gpg, keys):
        self.gpg = gpg
        self.public_key, self.private_key = keys
        self.shrink_params = {"publicKey": self.public_key}
        self.expand_params = {"privateKey": self.private_key}

    def open_with_system_tool(self, path, folder):
        return self.gpg("--decrypt", path)

    # each try starts a process, so some places must do

    def cuts(self, packed):
        return (1, 2, 20, 100, 110, 120, len(packed) // 2, len(packed) - 20, len(packed) - 1)

    def flips(self, packed):
        return range(0, len(packed), len(packed) // 24)

    @pytest.mark.parametrize("suffix", [".pgp", ".gpg", ".asc", ".GPG"])
    def test_the_usual_suffixes_are_taken_off(self, suffix):
        ((start, _, _),) = self.expanded(self.shrunk(b"x")[1], name="users.csv" + suffix)
        assert start.name == "users.csv"

    def test_armour_is_written_on_demand_and_read_always(self):
        step = make(self.shrink, {**self.shrink_params, "armor": True})
        ((start, packed, _),) = files(step.transform(FileStart("users.csv"), iter([b"content"])))
        assert start.name == "users.csv.pgp"
        assert packed.startswith(b"-----BEGIN PGP MESSAGE-----")
        assert self.gpg("--decrypt", content=packed) == b"content"
        ((_, back, _),) = self.expanded(packed)
        assert back == b"content"

    @pytest.mark.parametrize("options", [(), ("--armor",), ("-z", "0"), ("--compress-algo", "zip")], ids=str)
    def test_messages_of_gnupg_are_read(self, options):
        content = csv_like(2_000_000)
        packed = self.gpg("-r", "test@example.com", *options, "--encrypt", content=content)
        ((_, back, _),) = self.expanded(packed)
        assert back == content

    def test_compression_with_bzip2_is_refused_by_name(self):
        packed = self.gpg("-r", "test@example.com", "--compress-algo", "bzip2", "--encrypt", content=csv_like(9000))
        with pytest.raises(DataError, match="bzip2"):
            self.expanded(packed)

    @pytest.mark.parametrize("profile", [pysequoia.Profile.RFC4880, pysequoia.Profile.RFC9580], ids=repr)
    def test_keys_of_sequoia_work_too(self, profile):
        key = pysequoia.Tsk.generate("x", profile=profile)
        step = make(self.shrink, {"publicKey": str(key.extract_certificate())})
        ((_, packed, _),) = files(step.transform(FileStart("a"), iter([b"content"])))
        reverse = make(self.expand, {"privateKey": str(key)})
        assert files(reverse.transform(FileStart("a.pgp"), iter([packed])))[0][1] == b"content"

    @pytest.mark.parametrize("form", ["armoured", "base64 of it", "base64 of the bytes", "with blanks around it"])
    def test_a_key_may_come_in_several_forms(self, form):
        def shaped(key, raw):
            return {
                "armoured": key,
                "base64 of it": base64.b64encode(key.encode()).decode(),
                "base64 of the bytes": base64.encodebytes(raw).decode(),
                "with blanks around it": f"\n  {key}\n\n",
            }[form]

        secret = pysequoia.Tsk.from_bytes(self.private_key.encode())
        public = shaped(self.public_key, bytes(secret.extract_certificate()))
        private = shaped(self.private_key, bytes(secret))
        step = make(self.shrink, {"publicKey": public})
        ((_, packed, _),) = files(step.transform(FileStart("a"), iter([b"x"])))
        step = make(self.expand, {"privateKey": private})
        assert files(step.transform(FileStart("a.pgp"), iter([packed])))[0][1] == b"x"

    @pytest.mark.parametrize(
        "key",
        [
            "not a key",
            base64.b64encode(b"not a key either").decode(),
            str(SEQUOIA_KEY.extract_certificate())[:200],
            str(SEQUOIA_KEY),
            base64.b64encode(bytes(SEQUOIA_KEY)).decode(),
        ],
        ids=["no base64", "base64 of something", "cut off", "private", "private in base64"],
    )
    def test_what_is_no_public_key_is_refused_before_anything_is_written(self, key):
        events = make(self.shrink, {"publicKey": key}).transform(FileStart("a"), iter([b"x"]))
        with pytest.raises(FlowError) as caught:
            next(events)
        assert caught.value.code == "LB-1411"
        assert "backtrace" not in str(caught.value)

    def test_an_expired_key_is_refused(self):
        old = pysequoia.Tsk.generate("old", validity_seconds=1)
        time.sleep(1.2)
        with pytest.raises(FlowError, match="it expired on") as caught:
            files(
                make(self.shrink, {"publicKey": str(old.extract_certificate())}).transform(FileStart("a"), iter([b"x"]))
            )
        assert caught.value.code == "LB-1412"
        with pytest.raises(FlowError, match="it expired on"):
            files(make(self.expand, {"privateKey": str(old)}).transform(FileStart("a"), iter([b"x"])))

    def test_a_revoked_key_is_refused(self):
        certificate = SEQUOIA_KEY.extract_certificate()
        signature = certificate.revoke(SEQUOIA_KEY.certifier())
        revocation = pysequoia.Cert.from_bytes(bytes(certificate) + bytes(signature))
        with pytest.raises(FlowError, match="revoked") as caught:
            files(make(self.shrink, {"publicKey": str(revocation)}).transform(FileStart("a"), iter([b"x"])))
        assert caught.value.code == "LB-1412"

    def test_a_key_that_only_signs_is_refused(self):
        key, _ = self.gpg.make_key("signonly@example.com", "ed25519", "sign")
        with pytest.raises(FlowError, match="No suitable encryption subkey") as caught:
            files(make(self.shrink, {"publicKey": key}).transform(FileStart("a"), iter([b"x"])))
        assert caught.value.code == "LB-1412"

    def test_the_passphrase_is_needed_exactly_where_the_key_is_protected(self):
        public, private = self.gpg.make_key("protected@example.com", passphrase="hunter 22")
        step = make(self.shrink, {"publicKey": public})
        ((_, packed, _),) = files(step.transform(FileStart("a"), iter([b"content"])))

        def decrypted(**params):
            return files(make(self.expand, params).transform(FileStart("a.pgp"), iter([packed])))[0][1]

        assert decrypted(privateKey=private, passphrase="hunter 22") == b"content"
        for passphrase in ("", "wrong secret"):
            with pytest.raises(FlowError) as caught:
                decrypted(privateKey=private, passphrase=passphrase)
            assert caught.value.code == "LB-1414"
            assert "wrong secret" not in str(caught.value)
        _, packed = self.shrunk(b"for a key without protection")
        assert decrypted(privateKey=self.private_key, passphrase="superfluous") == b"for a key without protection"

    @pytest.mark.parametrize("key", ["not a key", str(SEQUOIA_KEY.extract_certificate()), str(SEQUOIA_KEY)[:300]])
    def test_what_is_no_private_key_is_refused(self, key):
        with pytest.raises(FlowError) as caught:
            files(make(self.expand, {"privateKey": key}).transform(FileStart("a"), iter([b"x"])))
        assert caught.value.code == "LB-1413"

    def test_a_message_for_another_key_says_so(self):
        step = make(self.shrink, {"publicKey": str(SEQUOIA_KEY.extract_certificate())})
        ((_, packed, _),) = files(step.transform(FileStart("a"), iter([csv_like(3_000_000)])))
        with pytest.raises(DataError) as caught:
            self.expanded(packed)
        assert caught.value.code == "LB-4411"

    def test_no_content_touches_the_disk(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        before = set(tmp_path.iterdir())
        events = make(self.shrink, self.shrink_params).transform(FileStart("a"), iter([csv_like(2_000_000)]))
        for _ in events:
            assert set(tmp_path.iterdir()) == before

    def run_as_process(self, monkeypatch, tmp_path, program):
        path = tmp_path / "program.py"
        path.write_text(program)
        monkeypatch.setattr(pgp.pgp_process, "__file__", str(path))
        return self.shrunk(csv_like(3_000_000))

    def test_a_process_that_hangs_is_stopped(self, monkeypatch, tmp_path):
        monkeypatch.setattr(pgp, "_PATIENCE_S", 0.3)
        processes = children()
        for program in ("import time; time.sleep(60)", "import os, time; os.close(1); time.sleep(60)"):
            with pytest.raises(Stalled) as caught:
                self.run_as_process(monkeypatch, tmp_path, program)
            assert caught.value.code == "LB-6401"
            assert children() <= processes

    @pytest.mark.parametrize(
        ("program", "status"),
        [
            ("import os; os.kill(os.getpid(), 9)", "status -9"),
            ("raise MemoryError('x')", "status 1 (MemoryError: x)"),
        ],
    )
    def test_a_process_that_dies_is_an_error_of_this_machine(self, program, status, monkeypatch, tmp_path):
        with pytest.raises(StorageError) as caught:
            self.run_as_process(monkeypatch, tmp_path, program)
        assert caught.value.code == "LB-7401"
        assert status in caught.value.message

    def test_a_process_that_cannot_be_started_is_an_error_of_this_machine(self, monkeypatch):
        monkeypatch.setattr(pgp.sys, "executable", "/nonexistent/python")
        with pytest.raises(StorageError) as caught:
            self.shrunk(b"x")
        assert caught.value.code == "LB-7401"

    def test_a_missing_library_names_the_extra(self, monkeypatch):
        monkeypatch.setattr(pgp, "_IS_INSTALLED", False)
        with pytest.raises(FlowError) as caught:
            make(self.shrink, self.shrink_params)
        assert caught.value.code == "LB-1401"
        assert 'pip install "landbridge[pgp]"' in caught.value.hint
