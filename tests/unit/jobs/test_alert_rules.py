"""The usual range of a dataflow, and the settings of a rule."""

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import FlowError
from landbridge.jobs.alert_rules import AlertKind, RuleSettings, read_settings, usual_range

VOLUMES = st.lists(st.integers(0, 10**9), min_size=5, max_size=20)


@given(VOLUMES)
def test_the_median_run_is_usual(volumes):
    low, high = usual_range(volumes, deviations=5)
    assert 0 <= low <= sorted(volumes)[len(volumes) // 2] <= high


@given(st.lists(st.integers(900, 1100), min_size=9, max_size=9), st.integers(0, 10**9))
def test_one_odd_run_does_not_move_the_range_far(volumes, odd):
    low, high = usual_range([*volumes, odd], deviations=5)
    assert low > 0
    assert high < 3000


@pytest.mark.parametrize(
    ("volumes", "usual", "odd"),
    [
        ([1000] * 10, [900, 1000, 1200], [0, 100, 500, 2000, 10_000]),
        ([10_000, 11_000, 9_500, 10_200, 10_700, 9_900], [8_000, 12_000], [0, 3_000, 20_000]),
        ([0, 1, 3, 0, 2, 1, 0], [0, 1, 5], [100]),
        ([0] * 10, [0, 1], [20]),
    ],
)
def test_a_volume_far_from_the_others_is_odd(volumes, usual, odd):
    low, high = usual_range(volumes, deviations=5)
    assert all(low <= volume <= high for volume in usual), (low, high)
    assert not any(low <= volume <= high for volume in odd), (low, high)


def test_too_few_runs_tell_nothing():
    assert usual_range([1, 2, 3, 4], deviations=5) is None


def test_settings_keep_only_what_differs_and_come_back_the_same():
    settings = read_settings({"kinds": ["failure", "late"], "to": ["ops@example.com"], "rejectsOver": 5})
    assert settings.kinds == (AlertKind.FAILURE, AlertKind.LATE)
    assert set(settings.as_json()) == {"kinds", "to", "rejectsOver"}
    assert read_settings(settings.as_json()) == settings
    assert AlertKind.SUCCESS not in RuleSettings().kinds


@pytest.mark.parametrize("values", [{"kinds": ["x"]}, {"kinds": []}, {"volumeRuns": 1}, {"to": "a"}, {"other": 1}])
def test_settings_that_cannot_be_understood_are_one_error(values):
    with pytest.raises(FlowError) as caught:
        read_settings(values)
    assert caught.value.code == "LB-1743"
    assert next(iter(values)) in caught.value.message
