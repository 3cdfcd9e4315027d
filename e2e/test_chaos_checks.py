"""The chaos run's own checks: each kind of wrong number that they are there for is found."""

import asyncio
import copy
import json
import sys

import pytest

from processes import ROOT

sys.path.append(str(ROOT))

from chaos import checks, plan  # noqa: E402
from chaos.books import Books  # noqa: E402
from chaos.ledger import Ledger  # noqa: E402
from chaos.proxy import Proxy, Weather  # noqa: E402
from chaos.pulse import Pulse  # noqa: E402
from chaos.watcher import Watcher  # noqa: E402


def result(seq, start, revision, final, counts, room="lobby"):
    return {
        "stage": "reactions", "epoch": 1, "seq": seq, "room": room, "revision": revision, "final": final,
        "window": {"name": "2s", "kind": "tumbling", "start": start, "end": start + 2000},
        "total": sum(counts.values()), "counts": counts, "source": {"partition": 0, "offset": seq},
    }


def late_letter(seq, identity, taps):
    event = {"id": identity, "room": "lobby", "emoji": "🔥", "count": taps}
    return {"reason": "late", "epoch": 1, "seq": seq, "window": "2s", "windows_missed": 1, "event": json.dumps(event)}


RESULTS = [
    result(1, 0, 1, False, {"🔥": 1}),
    result(2, 0, 2, True, {"🔥": 3}),
    result(3, 2000, 1, True, {"🔥": 2, "👏": 1}),
]


def books():
    kept = Books()
    for identity, emoji, taps in [("a", "🔥", 3), ("b", "🔥", 2), ("c", "👏", 1), ("late", "🔥", 4)]:
        kept.send(identity, "lobby", emoji, taps)
        kept.acknowledge(identity)
    return kept


def ledger(results=RESULTS, letters=(late_letter(1, "late", 4),)):
    kept = Ledger()
    for offset, record in enumerate(results):
        kept.result(0, offset, record)
    for offset, record in enumerate(letters):
        kept.letter(0, offset, record)
    return kept


def watcher(updates, snapshots=()):
    """One that got a snapshot of nothing, and then the updates; further snapshots come before the update of that index."""
    one = Watcher("lobby", ["nowhere"], Pulse())
    one._take({"type": "snapshot", "cursor": "c", "windows": []})
    for index, update in enumerate(updates):
        if index in snapshots:
            one._take({"type": "snapshot", "cursor": "c", "windows": updates[:index]})
        one._take({"type": "update", "cursor": "c", "update": update})
    return one


def all_errors(ledger, books, watchers=()):
    return [
        *checks.numbering(ledger, inversions_allowed=False), *checks.windows(ledger), *checks.counts(ledger, books, {"2s": 1}),
        *checks.refusals(ledger, books), *checks.watching(ledger, watchers),
    ]


def changed(index, **fields):
    results = copy.deepcopy(RESULTS)
    results[index] |= fields
    return results


def test_right_numbers_are_right():
    assert all_errors(ledger(), books(), [watcher(RESULTS), watcher(RESULTS, snapshots=[1, 2])]) == []


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (RESULTS[:2], "9 taps were acknowledged, 7 are in finals"),
        (changed(1, counts={"🔥": 2}), "9 taps were acknowledged, 8 are"),
        (changed(1, counts={"🔥": 4}), "9 taps were acknowledged, 10 are"),
        (changed(2, final=False), "is not final"),
        ([RESULTS[0], RESULTS[2]], "result 2 missing"),
        ([*RESULTS, RESULTS[1]], "result 2 more than once"),
        ([RESULTS[1], RESULTS[0], RESULTS[2]], "not in order"),
        ([*RESULTS, result(4, 0, 3, True, {"🔥": 3})], "several finals"),
        ([*RESULTS, result(4, 0, 2, True, {"🔥": 3})], "revision 2 stands twice"),
    ],
)
def test_wrong_results_are_found(results, expected):
    assert any(expected in error for error in all_errors(ledger(results), books()))


def test_a_late_reaction_without_its_letter_is_found():
    assert any("9 taps were acknowledged, 5 are" in error for error in all_errors(ledger(letters=()), books()))


def test_a_reaction_that_was_never_acknowledged_is_found():
    kept = books()
    kept.send("d", "lobby", "🔥", 1)
    assert any("never acknowledged" in error for error in all_errors(ledger(), kept))


def test_a_stray_that_was_not_refused_is_found():
    kept = books()
    kept.refused["mark"] = "future"
    assert any("not at all" in error for error in all_errors(ledger(), kept))


def test_a_watcher_that_missed_or_repeated_something_is_found():
    missed = watcher([RESULTS[0], RESULTS[2]])
    assert any("did not come" in error for error in checks.watching(ledger(), [missed]))
    assert any("never seen" in error for error in checks.watching(ledger(), [missed]))
    repeated = watcher([*RESULTS, RESULTS[1]])
    assert any("came after" in error for error in checks.watching(ledger(), [repeated]))


def test_a_watcher_may_miss_what_was_superseded_where_it_resumed_or_was_told():
    superseded, last = [RESULTS[1], RESULTS[2]], [RESULTS[0], RESULTS[2]]
    # The snapshot was of nothing, so the line begins before the first result.
    def errors(updates, **of_line):
        one = watcher(updates)
        one.lines[-1].floor = (1, 0)
        for name, value in of_line.items():
            setattr(one.lines[-1], name, value)
        return checks.watching(ledger(), [one])

    assert any("was told of 0" in error for error in errors(superseded))
    assert errors(superseded, skipped=1) == errors(superseded, resumed=True) == []
    for of_line in ({"skipped": 1}, {"resumed": True}):
        assert any("none that supersede" in error for error in errors(last, **of_line))


def test_a_standstill_counts_while_reactions_are_acknowledged():
    pulse = Pulse()
    pulse.results[0] = [0.0, 10.0]
    pulse.acknowledged[0] = [0.1 * step for step in range(1, 21)]
    gap, served = pulse.longest(0, since=0.0)
    assert (gap, round(served, 3)) == (10.0, 2.0), "for the other eight seconds the broker stood still"


def test_the_same_seed_gives_the_same_plan():
    assert plan.make(7, 50) == plan.make(7, 50)
    assert plan.make(7, 50) != plan.make(8, 50)
    kinds = {fault.kind for fault in plan.make(7, 100)}
    assert kinds == {"kill", "pause", "cut", "stall", "refuse", "burst", "strays"}


def test_the_proxy_stalls_cuts_and_refuses():
    async def echo(reader, writer):
        while chunk := await reader.read(100):
            writer.write(chunk)
        writer.close()

    async def story():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        weather = Weather()
        proxy = await Proxy(server.sockets[0].getsockname()[:2], lambda *_: weather).start()
        host, port = proxy.address.split(":")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"

        weather.clear.clear()
        writer.write(b"two")
        answer = asyncio.create_task(reader.readexactly(3))
        done, _ = await asyncio.wait([answer], timeout=0.2)
        assert not done, "stalled"
        weather.clear.set()
        assert await asyncio.wait_for(answer, 5) == b"two"

        assert weather.cut() == 1
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.readexactly(1), 5)

        weather.refused = True
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            reader, writer = await asyncio.open_connection(host, port)
            await asyncio.wait_for(reader.readexactly(1), 5)
        proxy.close()
        server.close()

    asyncio.run(story())
