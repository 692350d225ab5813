"""Java's time patterns: writing, reading, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from landbridge.dataflow.java_time import compile_format, compile_parse
from landbridge.errors import FlowError

INDIA = timezone(timedelta(hours=5, minutes=30))
MOMENT = datetime(2026, 3, 9, 5, 4, 3, 70_000, tzinfo=INDIA)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=OFFSETS)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyyMMddHHmmss", "20260309050403"),
        ("YYMMdd_HHmm", "260309_0504"),
        ("YYYY", "2026"),
        ("y-M-d H:m:s", "2026-3-9 5:4:3"),
        ("d/M/yy h:mm a", "9/3/26 5:04 AM"),
        ("EEEE, dd MMMM yyyy", "Monday, 09 March 2026"),
        ("E MMM", "Mon Mar"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2026-03-09T05:04:03.070+0530"),
        ("SSSSSSSSS S", "070000000 0"),
        ("DDD D", "068 68"),
        ("Z ZZ", "+0530 +05:30"),
        ("X XX XXX", "+0530 +0530 +05:30"),
        ("z", "UTC+05:30"),
        ("hh 'o''clock' ''a''", "05 o'clock 'AM'"),
        ("unix", "1773012843"),
        ("", ""),
    ],
)
def test_a_time_is_written_as_java_writes_it(pattern, text):
    assert compile_format(pattern)(MOMENT) == text


@pytest.mark.parametrize(("pattern", "text"), [("X", "Z"), ("XXX", "Z"), ("Z", "+0000"), ("z", "UTC")])
def test_utc_is_written_by_its_own_sign(pattern, text):
    assert compile_format(pattern)(MOMENT.astimezone(UTC)) == text


@pytest.mark.parametrize(("hour", "text"), [(0, "12 AM"), (1, "1 AM"), (12, "12 PM"), (23, "11 PM")])
def test_the_twelve_hour_clock_has_no_zero(hour, text):
    moment = datetime(2026, 1, 1, hour, tzinfo=UTC)
    assert compile_format("h a")(moment) == text
    assert compile_parse("h a")(text).hour == hour


def test_a_whole_hour_of_offset_needs_two_digits_only():
    west = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-8)))
    assert compile_format("X")(west) == "-08"
    assert compile_format("Z")(west) == "-0800"


def test_a_time_without_a_zone_counts_as_utc():
    assert compile_format("HHX")(datetime(2026, 1, 1, 7)) == "07Z"  # noqa: DTZ001


@pytest.mark.parametrize(
    "pattern",
    [
        "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
        "yyyyMMddHHmmssSSSSSSZ",
        "EEEE, d MMMM y h:m:s.SSSSSS a ZZ",
        "EEE MMM d HH:mm:ss.SSSSSS z yyyy",
        "D/yyyyy H''m''s SSSSSSSSS X",
        "YYYYDDDHHmmssSSSSSSXX",
        "SSSSSS'yyyy'ssmmHHddMMYYYYZ",
    ],
)
@given(moment=MOMENTS)
def test_reading_what_was_written_gives_the_same_time(pattern, moment):
    assert compile_parse(pattern)(compile_format(pattern)(moment)) == moment


@given(MOMENTS)
def test_a_unix_time_is_read_back_to_the_second(moment):
    assert compile_parse("unix")(compile_format("unix")(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize("pattern", ["D:d", "M D", "y D d", "D d M", "yyyy D M"])
def test_a_day_of_the_year_is_read_beside_parts_of_a_date(pattern):
    assert compile_parse(pattern)(compile_format(pattern)(MOMENT)).month == MOMENT.month


def test_a_day_of_the_year_that_is_of_another_date_is_refused():
    for text in ("2026 68 10", "2026 367 9"):
        with pytest.raises(ValueError, match="day of the year"):
            compile_parse("yyyy D d")(text)


@given(st.text(max_size=12))
def test_any_pattern_either_works_or_is_refused_as_a_pattern(pattern):
    try:
        text = compile_format(pattern)(MOMENT)
        read = compile_parse(pattern)
    except FlowError as failure:
        assert failure.code == "LB-1041"  # noqa: PT017 - most patterns are refused, some are not
        return
    try:
        read(text)
    except ValueError as failure:
        assert "two values" in str(failure)  # noqa: PT017


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_value_error(text):
    for pattern in ("yyyy-MM-dd", "d.M.y H:m", "unix", "EEE z"):
        try:
            compile_parse(pattern)(text)
        except ValueError as failure:
            assert pattern in str(failure) or "1970" in str(failure)  # noqa: PT017


@pytest.mark.parametrize(
    ("pattern", "text", "moment"),
    [
        ("dd.MM.yyyy", "1.2.2024", datetime(2024, 2, 1, tzinfo=UTC)),
        ("MM-dd", "02-29", datetime(2000, 2, 29, tzinfo=UTC)),
        ("dd/MM/yy", "01/02/68", datetime(2068, 2, 1, tzinfo=UTC)),
        ("dd/MM/yy", "01/02/69", datetime(1969, 2, 1, tzinfo=UTC)),
        ("d MMM yyyy", "5 MARCH 2024", datetime(2024, 3, 5, tzinfo=UTC)),
        ("yyyy-MM-dd HH:mm z", "2024-07-01 12:00 Europe/Berlin", datetime(2024, 7, 1, 10, tzinfo=UTC)),
        ("yyyy-MM-dd HH:mm Z", "2024-07-01 12:00 +02:00", datetime(2024, 7, 1, 10, tzinfo=UTC)),
        ("yyyy-MM-dd HH:mm Z", "2024-07-01 12:00 Z", datetime(2024, 7, 1, 12, tzinfo=UTC)),
        ("yyyyMMdd", "20240701", datetime(2024, 7, 1, tzinfo=UTC)),
        ("hh:mm", "11:30", datetime(2000, 1, 1, 11, 30, tzinfo=UTC)),
    ],
)
def test_what_people_write_is_read(pattern, text, moment):
    assert compile_parse(pattern)(text) == moment


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("dd.MM.yyyy", "31.02.2024"),
        ("dd.MM.yyyy", "01.01.24"),
        ("dd.MM.yyyy", "01.01.2024 "),
        ("dd.MM.yyyy", "01.01.2024\n"),
        ("hh", "13"),
        ("hh", "0"),
        ("HH", "24"),
        ("EEE yyyy-MM-dd", "Mon 2024-01-02"),
        ("yyyy DDD", "2023 366"),
        ("yyyy-MM-dd DDD", "2023-01-02 003"),
        ("z", "Middle/Earth"),
        ("z", "UTC+99:99"),
        ("Z", "+0060"),
        ("yyyy yyyy", "2023 2024"),
        ("yyyy", "٢٠٢٤"),
        ("unix", "1e9"),
        ("unix", "999999999999"),
        ("SSS", "5"),
    ],
)
def test_a_text_that_is_no_such_time_is_refused_without_being_repeated(pattern, text):
    with pytest.raises(ValueError, match=r".") as caught:
        compile_parse(pattern)(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("yyyy-MM-ddTHH", "'T'"),
        ("it''s", "'i'"),
        ("yyyy 'open", "not closed"),
        ("MMMMMM", "6 times"),
        ("ZZZ", "3 times"),
        ("KK", '"K"'),
    ],
)
def test_a_wrong_pattern_is_refused_with_a_hint(pattern, words):
    for compile_ in (compile_format, compile_parse):
        with pytest.raises(FlowError) as caught:
            compile_(pattern)
        assert caught.value.code == "LB-1041"
        assert words in str(caught.value)


@pytest.mark.parametrize("pattern", ["yyyyMd", "HHm0", "yMMdd"])
def test_a_pattern_that_leaves_open_where_a_number_ends_cannot_read(pattern):
    with pytest.raises(FlowError, match="it is open where"):
        compile_parse(pattern)
