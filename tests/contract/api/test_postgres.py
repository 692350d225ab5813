"""The same where the database is PostgreSQL, which compares, pages and locks in its own way."""

import os

import pytest

# ruff: noqa: F401 - the tests of the other modules, with the service below
from tests.contract.api.conftest import Running
from tests.contract.api.test_connections import (
    test_a_change_replaces_all_and_the_mask_keeps_a_secret,
    test_a_connection_in_use_is_removed_by_force_only,
)
from tests.contract.api.test_dataflows import (
    flow,
    test_a_draft_is_published_as_the_next_version_with_its_secrets,
    test_dataflows_are_found_by_parts_of_their_names,
    test_the_mark_is_shown_set_and_reset,
    test_two_who_change_the_same_version_do_not_overwrite_each_other,
    test_versions_are_listed_shown_and_compared,
    test_what_is_no_dataflow_is_refused,
    test_with_a_dataflow_its_drafts_and_schedulings_go,
)
from tests.contract.api.test_events import (
    test_a_job_is_followed_from_its_beginning_to_its_end,
    test_all_jobs_are_followed_and_changes_of_people_told,
)
from tests.contract.api.test_jobs import (
    copied,
    test_figures_are_those_of_the_jobs_that_have_ended,
    test_figures_count_jobs_that_were_stopped_before_they_ran,
    test_rejects_are_listed_without_the_record_and_shown_whole_to_operators,
    test_the_trace_is_for_viewers_and_records_are_for_operators,
    test_what_a_guard_has_stopped_is_approved_once_or_refused,
    test_what_a_newer_job_has_overtaken_is_not_approved_any_more,
)
from tests.contract.api.test_pages import (
    test_a_cursor_that_was_never_given_is_refused,
    test_jobs_come_newest_first_by_state_kind_and_time,
    test_rows_that_are_added_meanwhile_neither_repeat_nor_hide_one,
)
from tests.contract.api.test_rest import (
    test_a_rule_is_created_changed_and_removed,
    test_alerts_are_listed_newest_first,
    test_every_failure_is_a_problem_with_a_code,
    test_of_many_changes_of_one_state_one_wins,
    test_who_changes_a_setting_says_which_state_they_have_seen,
)
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api-postgres")
    data = folder / "data"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    with started(Postgres()) as server:
        arguments = ["serve", "--data", str(data), "--database", server.url, "--port", "0", "--grace", "0"]
        process = Process(arguments, {**environ, "LANDBRIDGE_HOME": str(folder / "home")}, folder / "log")
        state = State(server.url, data)
        try:
            yield Running(process, state, folder)
        finally:
            state.close()
            process.stop()
        assert "Traceback" not in (folder / "log").read_text()
