"""Files and folders that only their owner may read."""

from landbridge.jobs.db import FILE_NAME, Database
from landbridge.jobs.private import private_file, private_folder


def mode(path):
    return path.stat().st_mode & 0o777


def test_what_is_made_is_private_and_what_was_open_becomes_so(tmp_path):
    for name in ("new", "open"):
        file, folder = tmp_path / name, tmp_path / f"{name} folder"
        if name == "open":
            file.write_text("kept")
            file.chmod(0o644)
            folder.mkdir(mode=0o755)
        private_file(file)
        private_folder(folder)
        assert (mode(file), mode(folder)) == (0o600, 0o700)
    assert (tmp_path / "open").read_text() == "kept"


def test_a_database_that_was_put_back_from_a_copy_is_private_again(tmp_path):
    Database.open(tmp_path).close()
    (tmp_path / FILE_NAME).chmod(0o644)
    Database.open(tmp_path).close()
    assert mode(tmp_path / FILE_NAME) == 0o600
