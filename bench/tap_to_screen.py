#!/usr/bin/env python3
"""Tap to screen: the time from a tap's request to the first update on a WebSocket feed that holds it.

Open loop: tap times are fixed beforehand, so a slow server shows as latency. A tap is on screen when an update's
cumulative `room_totals.reactions` has reached its number, so taps of one room are sent one by one, in order.

usage: tap_to_screen.py [--url URL] [--rate TAPS_PER_SECOND] [--seconds S] [--json FILE]"""

import argparse
import asyncio
import json
import secrets
import time

import websockets

BUCKETS_MS = [5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 150, 200, 300, 500, 1000]
LAST_WAIT_SECONDS = 5.0


async def measure(url, rate, seconds):
    room = f"latency-{secrets.token_hex(4)}"
    address = f"{url.replace('http', 'ws', 1)}/v1/rooms/{room}/feed"
    taps = int(rate * seconds)
    due, acked, seen = [0.0] * taps, [None] * taps, [None] * taps
    async with websockets.connect(address) as watcher, websockets.connect(address) as tapper:
        done = asyncio.Event()

        async def watch():
            on_screen = 0
            async for text in watcher:
                now = time.perf_counter()
                message = json.loads(text)
                if message["type"] != "update":
                    continue
                reached = message["update"]["room_totals"]["reactions"]
                while on_screen < min(reached, taps):
                    seen[on_screen] = now
                    on_screen += 1
                if on_screen == taps:
                    done.set()
                    return

        async def acks():
            async for text in tapper:
                message = json.loads(text)
                if message["type"] == "ack":
                    acked[int(message["ref"])] = time.perf_counter()

        readers = [asyncio.create_task(watch()), asyncio.create_task(acks())]
        start = time.perf_counter() + 0.5
        for number in range(taps):
            due[number] = start + number / rate
            await asyncio.sleep(max(0.0, due[number] - time.perf_counter()))
            await tapper.send(json.dumps({"type": "react", "emoji": "🔥", "ref": str(number)}))
        try:
            await asyncio.wait_for(done.wait(), LAST_WAIT_SECONDS)
        finally:
            for reader in readers:
                reader.cancel()

    def ms(times):
        return sorted((at - then) * 1000 for at, then in zip(times, due) if at is not None)

    return ms(acked), ms(seen), taps


def quantiles(values):
    return {name: round(values[min(len(values) - 1, int(share * len(values)))], 1)
            for name, share in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    acked, seen, taps = asyncio.run(measure(arguments.url, arguments.rate, arguments.seconds))
    histogram, low = [], 0
    for high in [*BUCKETS_MS, float("inf")]:
        histogram.append({"below_ms": high if high != float("inf") else None,
                          "taps": sum(low <= value < high for value in seen)})
        low = high
    result = {"taps": taps, "rate": arguments.rate, "acknowledged": len(acked), "on_screen": len(seen),
              "tap_to_ack_ms": quantiles(acked), "tap_to_screen_ms": quantiles(seen), "histogram": histogram}
    for row in histogram:
        edge = f"< {row['below_ms']} ms" if row["below_ms"] else "above"
        print(f"{edge:>10} {row['taps']:>6} {'#' * round(60 * row['taps'] / max(1, taps))}")
    print(f"taps {taps}, acknowledged {len(acked)}, on screen {len(seen)}")
    print(f"tap to acknowledgement, ms: {result['tap_to_ack_ms']}")
    print(f"tap to screen, ms:          {result['tap_to_screen_ms']}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
