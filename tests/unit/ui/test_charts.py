"""Charts over time: where nothing happened, labels at round times, and what is left out."""

import re
from datetime import UTC, datetime

import pytest

from lakehouse.core.clock import timestamp
from lakehouse.sessionlog.index import questions
from lakehouse.ui import texts
from lakehouse.ui.charts import HEIGHT, WIDTH, Point, chart
from lakehouse.ui.time_axis import after, moment_of, ticks
from support.rows import make_row, rejected_attempt
from support.ui_pages import pages_over, write_log
from support.waiting import wait_until

HOURS = [0, 1, 5]
MINUTES = questions.TIMES_MAX + 5


def _drawn(gaps, bucket="hour", hours=HOURS, **more):
    points = [Point(f"2026-01-01T{hour:02}:00:00Z", 1.0, **more) for hour in hours]
    (line,) = chart("t", {"a": points}, bucket, texts.amount, gaps=gaps, most=1.0).lines
    return line


def _places(path):
    numbers = [float(number) for number in re.findall(r"[\d.]+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_counts_fall_to_zero_where_nothing_happened():
    line = _drawn("zero")
    fifth = WIDTH / 5
    assert _places(line.path) == [
        (0, 0), (fifth, 0), (2 * fifth, HEIGHT), (4 * fifth, HEIGHT), (WIDTH, 0),
    ]  # fmt: skip
    assert line.path.count("M") == 1
    assert len(line.dots) == len(HOURS)  # zero is drawn, and no value that was measured


def test_rates_break_where_nothing_was_judged():
    line = _drawn("break", low=0.5, high=1.0)
    assert line.path == "M0.0 0.00L200.0 0.00M1000.0 0.00"
    assert line.band.count("M") == 1  # of the first two
    assert line.whiskers == "M1000.0 50.00V0.00"  # of the one that stands alone


def test_a_gap_is_known_in_months_too_and_nowhere_between_times_of_any_kind():
    months = [Point(f"2026-{month:02}-01T00:00:00Z", 1.0) for month in (1, 2, 3, 5)]
    (line,) = chart("t", {"a": months}, "month", texts.amount, gaps="break").lines
    assert line.path.count("M") == 2
    (line,) = chart("t", {"a": months}, None, texts.amount, gaps="break").lines
    assert line.path.count("M") == 1


def _labels(first, last, bucket):
    return [
        (round(tick.at, 3), tick.above, tick.below)
        for tick in ticks(moment_of(first), moment_of(last), bucket)
    ]


def test_labels_are_placed_by_time_at_round_times_with_the_day_where_it_changes():
    assert _labels("2026-11-29T22:10", "2026-11-30T03:10", "minute") == [
        (0.167, "23:00", "29 Nov 2026"),
        (0.367, "00:00", "30 Nov 2026"),
        (0.567, "01:00", ""),
        (0.767, "02:00", ""),
        (0.967, "03:00", ""),
    ]
    assert _labels("2025-12-30", "2026-01-02", "day") == [
        (0.0, "30 Dec", "2025"),
        (0.333, "31 Dec", ""),
        (0.667, "1 Jan", "2026"),
        (1.0, "2 Jan", ""),
    ]
    assert _labels("2026-01-05", "2026-02-02", "week")[0] == (0.0, "5 Jan", "2026")
    assert [above for _, above, _ in _labels("2025-11-01", "2026-04-01", "month")] == [
        "Nov", "Dec", "Jan", "Feb", "Mar", "Apr",
    ]  # fmt: skip


def test_points_that_crowd_at_one_end_do_not_move_the_labels():
    """The label of a time is where the point of that time is."""
    line = [Point(f"2026-01-01T{hour:02}:00:00Z", 1.0) for hour in range(12)]
    line.append(Point("2026-01-03T00:00:00Z", 1.0))
    drawn = chart("t", {"a": line}, "hour", texts.amount, gaps="zero")
    dots = {dot.label[5:16]: dot.x / WIDTH for dot in drawn.lines[0].dots}
    labels = {(tick.above, tick.below): tick.at for tick in drawn.ticks}
    assert labels["00:00", "1 Jan 2026"] == dots["01-01 00:00"] == 0
    assert labels["00:00", "3 Jan 2026"] == dots["01-03 00:00"] == 1
    assert labels["00:00", "2 Jan 2026"] == 0.5  # no point is there


@pytest.mark.parametrize("bucket", questions.BUCKETS)
@pytest.mark.parametrize("parts", [1, 2, 7, 40, 300, 999])
def test_every_span_has_some_labels_and_not_many(bucket, parts):
    for begin in (datetime(2026, 1, 31, 23, 59, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)):
        first = begin.replace(day=1) if bucket == "month" else begin
        found = ticks(first, after(first, bucket, parts), bucket)
        assert (1 if parts < 7 else 2) <= len(found) <= 6
        assert all(0 <= tick.at <= 1 for tick in found)


def test_years_at_both_ends_of_time_have_labels():
    assert len(ticks(moment_of("0001-01-01"), moment_of("9999-12-01"), "month")) >= 2
    assert len(ticks(moment_of("0001-01-01"), moment_of("0001-03-01"), "week")) >= 2


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The pages over a session with a finding in each of some minutes, more than a chart holds."""
    first = moment_of("2026-01-01")
    rows = [
        make_row(timestamp=timestamp(after(first, "minute", n)), attempts=(rejected_attempt(0),))
        for n in range(MINUTES)
    ]
    with pages_over(write_log(tmp_path_factory.mktemp("log"), rows)) as client:
        wait_until(lambda: not _missing(client), "the index of the log")
        yield client


def _missing(client):
    progress = client.get("/ui/findings.json").json()["progress"]
    return progress["files_missing"] or progress["rows"] < MINUTES


def _told(client, path):
    """Return the parts of time of a page's model, whether there are more, and what shows all."""
    page = client.get(path).json()
    if path.startswith("/ui.json"):
        rates = page["overview"]["rates"]
        return [one["group"]["bucket"] for one in rates["groups"]], rates["more"], rates["coarser"]
    if path.startswith("/ui/findings"):
        times = [one["bucket"] for one in page["times"]]
        return times, page["times_more"], page["coarser"]
    times = page["times"]
    return [one["group"]["bucket"] for one in times["groups"]], times["more"], times["coarser"]


@pytest.mark.parametrize("path", ["/ui", "/ui/findings", "/ui/latency"])
def test_charts_of_more_parts_than_they_hold_show_the_newest_and_say_what_shows_all(client, path):
    model = path + ".json?bucket="
    times, more, coarser = _told(client, model + "minute")
    assert (times[0], times[-1]) == ("2026-01-01T00:05:00Z", "2026-01-01T16:44:00Z")
    assert (len(times), more, coarser) == (questions.TIMES_MAX, True, "hour")
    text = client.get(f"{path}?bucket=minute&kind=airport_event").text
    assert re.search("only the newest 1\u202f000 minutes with (sessions|findings);", text)
    assert f'<a href="{path}?kind=airport_event&amp;bucket=hour">Show all by hour</a>' in text

    times, more, coarser = _told(client, model + "hour")
    assert (len(times), more, coarser) == (17, False, None)
    assert "only the newest" not in client.get(f"{path}?bucket=hour").text


@pytest.mark.parametrize(("last", "bucket"), [("01-01T00:02", "minute"), ("04-01T00:00", "day")])
def test_each_chart_begins_with_the_parts_that_suit_the_time_of_its_sessions(
    tmp_path, last, bucket
):
    times = ("2026-01-01T00:00:00.000000Z", f"2026-{last}:00.000000Z")
    rows = [make_row(timestamp=time, attempts=(rejected_attempt(0),)) for time in times]
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        for page in ("", "/findings", "/latency"):
            path = f"/ui{page}.json"
            assert client.get(path).json()["bucket"] == bucket
            assert client.get(f"{path}?bucket=month").json()["bucket"] == "month"
