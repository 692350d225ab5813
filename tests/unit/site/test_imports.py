"""What loading a part of the site costs."""

import subprocess
import sys


def test_invented_people_come_without_the_web_server_and_the_store():
    code = (
        "import sys; from landbridge.site.people import people; next(people(1));"
        "print(*sorted({'uvicorn', 'starlette', 'sqlite3', 'pyarrow', 'lark', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == []


def test_the_site_is_there_when_it_is_asked_for():
    from landbridge import site

    assert site.Site.__module__ == "landbridge.site.site"
    assert {site.Fault.__module__, site.Switches.__module__} == {"landbridge.site.faults"}
    assert not hasattr(site, "Nothing")
