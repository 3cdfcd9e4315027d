"""History: the final windows of a room as the aggregate topic has them, whoever reads it and however it is cut into answers."""

import collections
import csv
import io
import itertools
import time
from datetime import datetime, timezone

import httpx
import pytest

import processes
import readers
from processes import FREE, Process
from topology import WINDOW_MS

PATIENCE_S = 60
WINDOWS = 3
# Some begin like no letter does, and one has a variation selector that it must keep.
EMOJI = ["🔥", "❤️", "#️⃣", "*️⃣", "©️", "👏"]


def get(ovation, room, query="", **options):
    return httpx.get(f"{ovation.http}/v1/rooms/{room}/history{query}", timeout=30, **options)


def history(ovation, room, query="", **options):
    answer = get(ovation, room, query, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_problem(answer, status, name):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:ovation:problem:{name}"), problem
    return problem


def finals(ovation, room):
    """The room's finals as the topic holds them, by a client that nobody here wrote: in the order of their numbers, each once."""
    topology = ovation.topology
    updates = [value for _, value in readers.stored(ovation.control, topology.aggregates, topology.partitions)]
    mine = {(update["epoch"], update["seq"]): update for update in updates if update["room"] == room}
    return [update for _, update in sorted(mine.items()) if update["final"] and not update.get("retracted")]


def taps(windows):
    counts = collections.Counter()
    for window in windows:
        counts.update(window["counts"])
    return counts


def react_over_windows(ovation, room, windows=WINDOWS):
    """Taps until so many windows of the room are final, and no window is open any more; what was sent."""
    sent = collections.Counter()
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(base_url=ovation.http, timeout=10) as session:
        for number in itertools.count():
            emoji, count = EMOJI[number % len(EMOJI)], 1 + number % 5
            answer = session.post(f"/v1/rooms/{room}/reactions", json={"emoji": emoji, "count": count})
            assert answer.status_code == 200, answer.text
            sent[emoji] += count
            if number % 10 == 0 and len(session.get(f"/v1/rooms/{room}/history").json()["windows"]) >= windows:
                break
            assert time.monotonic() < deadline
        while taps(session.get(f"/v1/rooms/{room}/history").json()["windows"]) != sent:
            assert time.monotonic() < deadline
    return sent


@pytest.fixture(scope="module")
def crowd(ovation):
    """A room with a few windows behind it, and what was sent there."""
    room = f"history-{time.time_ns()}"
    return room, react_over_windows(ovation, room)


def test_history_is_what_the_topic_holds(ovation, crowd):
    room, sent = crowd
    answer = history(ovation, room)
    assert answer["windows"] == finals(ovation, room)
    assert taps(answer["windows"]) == sent
    assert (answer["room"], answer["step"], answer["next"]) == (room, None, None)
    assert answer["to"] - answer["from"] == 3_600_000
    starts = [window["window"]["start"] for window in answer["windows"]]
    assert starts == sorted(set(starts)) and len(starts) >= WINDOWS


def test_every_gateway_answers_the_same(ovation, crowd):
    room, _ = crowd
    where = ["--cluster", ovation.control, "--topology", ovation.topology.file]
    second = Process("gateway", "--http", FREE, *where).wait_ready()
    try:
        query = f"?to={int(time.time() * 1_000)}"
        assert get(second, room, query).content == get(ovation, room, query).content
    finally:
        second.end()


def test_a_range_takes_the_windows_that_begin_in_it(ovation, crowd):
    room, _ = crowd
    windows = history(ovation, room)["windows"]
    starts = [window["window"]["start"] for window in windows]
    first, last = starts[1], starts[2]
    assert history(ovation, room, f"?from={first}&to={last}")["windows"] == windows[1:2]
    assert history(ovation, room, f"?from={first + 1}&to={last + 1}")["windows"] == windows[2:3]
    text = [datetime.fromtimestamp(ms / 1_000, timezone.utc).isoformat() for ms in (first, last)]
    by_text = get(ovation, room, "", params={"from": text[0], "to": text[1]}).json()
    assert (by_text["from"], by_text["to"], by_text["windows"]) == (first, last, windows[1:2])
    assert history(ovation, room, f"?from={starts[0] - 5_000}&to={starts[0]}")["windows"] == []
    name = windows[0]["window"]["name"]
    assert history(ovation, room, f"?window={name}")["windows"] == windows
    assert history(ovation, room, "?window=another")["windows"] == []
    assert history(ovation, "nobody-was-here")["windows"] == []


def pages(ovation, room, query):
    """Follows `next` to the end."""
    found, url = [], httpx.URL(f"{ovation.http}/v1/rooms/{room}/history{query}")
    while True:
        answer = httpx.get(url, timeout=30)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if found[-1]["next"] is None:
            return found
        assert len(found) < 1_000
        url = url.join(found[-1]["next"])


@pytest.mark.parametrize("limit", [1, 2])
def test_paging_gives_everything_once(ovation, crowd, limit):
    room, _ = crowd
    found = pages(ovation, room, f"?limit={limit}")
    assert all(len(page["windows"]) <= limit for page in found)
    assert len({(page["from"], page["to"]) for page in found}) == 1
    assert [window for page in found for window in page["windows"]] == finals(ovation, room)


@pytest.mark.parametrize("limit", ["", "&limit=1"])
def test_steps_are_the_sums_of_their_windows(ovation, crowd, limit):
    room, sent = crowd
    step = 2 * WINDOW_MS
    steps = [window for page in pages(ovation, room, f"?step={step}{limit}") for window in page["windows"]]
    expected = {}
    for window in finals(ovation, room):
        start = window["window"]["start"] // step * step
        expected.setdefault(start, []).append(window)
    assert [one["window"]["start"] for one in steps] == list(expected)
    for one, windows in zip(steps, expected.values()):
        assert (one["window"]["kind"], one["window"]["end"]) == ("tumbling", one["window"]["start"] + step)
        assert (one["windows"], one["total"]) == (len(windows), sum(window["total"] for window in windows))
        assert collections.Counter(one["counts"]) == taps(windows)
    assert taps(steps) == sent


def rows(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def test_csv_tells_the_same(ovation, crowd):
    room, sent = crowd
    answer = get(ovation, room, headers={"accept": "text/csv"})
    assert answer.headers["content-disposition"] == f'attachment; filename="{room}.csv"'
    found = rows(answer)
    expected = [
        (window, emoji, count) for window in finals(ovation, room) for emoji, count in sorted(window["counts"].items())
    ]
    assert len(found) == len(expected)
    for row, (window, emoji, count) in zip(found, expected):
        place = window["window"]
        assert (row["window"], row["kind"], row["windows"]) == (place["name"], place["kind"], "1")
        assert (row["start_ms"], row["end_ms"]) == (str(place["start"]), str(place["end"]))
        assert datetime.fromisoformat(row["start"]).timestamp() * 1_000 == place["start"]
        assert (row["total"], row["emoji"], row["count"]) == (str(window["total"]), emoji, str(count))
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    sums = collections.Counter()
    for row in rows(get(ovation, room, "?format=csv&step=1d")):
        sums[row["emoji"]] += int(row["count"])
    assert sums == sent


def test_csv_that_is_cut_says_how_to_go_on(ovation, crowd):
    room, _ = crowd
    whole = rows(get(ovation, room, "?format=csv"))
    found, url = [], httpx.URL(f"{ovation.http}/v1/rooms/{room}/history?format=csv&limit=1")
    while url is not None:
        page = rows(httpx.get(url, timeout=30))
        url = url.join(page.pop()["window"]) if page[-1]["kind"] == "next" else None
        found.extend(page)
    assert found == whole


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("?from=yesterday", 422, "bad-range"),
        ("?from=5&to=5", 422, "bad-range"),
        ("?from=0", 422, "bad-range"),
        ("?to=-1", 422, "bad-range"),
        ("?step=0", 422, "bad-step"),
        ("?step=1w", 422, "bad-step"),
        ("?limit=0", 400, "bad-request"),
        ("?limit=10001", 400, "bad-request"),
        ("?after=never-heard-of", 400, "bad-request"),
        ("?format=xml", 400, "bad-request"),
        ("?window=", 400, "bad-request"),
        ("?from=1&from=2", 400, "bad-request"),
    ],
)
def test_a_bad_query_is_a_problem(ovation, room, query, status, name):
    assert_problem(get(ovation, room, query), status, name)
    assert_problem(get(ovation, room, query, headers={"accept": "text/csv"}), status, name)


def test_what_is_accepted_decides_and_other_routes_have_no_csv(ovation, room):
    assert get(ovation, room, headers={"accept": "text/html, */*;q=0.1"}).headers["content-type"] == "application/json"
    assert get(ovation, room, "?format=json", headers={"accept": "text/csv"}).json()["windows"] == []
    assert_problem(get(ovation, room, headers={"accept": "text/html"}), 406, "not-acceptable")
    other = httpx.get(f"{ovation.http}/v1/rooms/{room}", headers={"accept": "text/csv"}, timeout=10)
    assert_problem(other, 406, "not-acceptable")
    assert_problem(get(ovation, "-"), 422, "bad-room")
    answer = httpx.post(f"{ovation.http}/v1/rooms/{room}/history", timeout=10)
    assert assert_problem(answer, 405, "method-not-allowed") and "GET" in answer.headers["allow"]


def test_after_a_reset_each_window_comes_once_from_the_newer_epoch(own_ovation, room):
    sent = react_over_windows(own_ovation, room)
    before = history(own_ovation, room)["windows"]
    where = ["--cluster", own_ovation.control, "--topology", own_ovation.topology.file]
    code, text = processes.outcome("topology", "reset", "--from", "beginning", "--yes", *where)
    assert code == 0, text
    deadline = time.monotonic() + PATIENCE_S
    while True:
        windows = history(own_ovation, room)["windows"]
        # Whatever moment it is: each window once, and nothing of what was counted is gone but what is counted anew.
        names = [(window["window"]["name"], window["window"]["start"]) for window in windows]
        assert len(set(names)) == len(names)
        if len(windows) == len(before) and all(window["epoch"] == 2 for window in windows):
            break
        assert time.monotonic() < deadline, windows
    assert taps(windows) == sent
    assert [window["window"] for window in windows] == [window["window"] for window in before]
    assert windows == [final for final in finals(own_ovation, room) if final["epoch"] == 2]


def test_while_the_broker_is_away_it_is_a_problem(own_embedded):
    where = ["--cluster", own_embedded.control, "--topology", own_embedded.topology.file]
    gateway = Process("gateway", "--http", FREE, *where).wait_ready()
    try:
        own_embedded.process.kill()
        answer = get(gateway, "lobby")
        assert_problem(answer, 503, "history-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert own_embedded.control not in answer.text
    finally:
        gateway.end()
