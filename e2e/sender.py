"""Sends reactions over HTTP as a process of its own, and prints what was acknowledged: {room: {emoji: taps}}.

usage: sender.py URL COUNT RATE ROOM... (RATE in reactions a second, 0: as fast as answers come)"""

import json
import sys
import time

import httpx

EMOJI = ["🔥", "❤️", "👏", "😂"]


def main():
    url, count, rate, *rooms = sys.argv[1:]
    acknowledged = {}
    started = time.monotonic()
    with httpx.Client(base_url=url, timeout=10) as client:
        for number in range(int(count)):
            if float(rate):
                time.sleep(max(0.0, started + number / float(rate) - time.monotonic()))
            room, emoji, taps = rooms[number % len(rooms)], EMOJI[number % 7 % 4], 1 + number % 3
            try:
                answer = client.post(f"/v1/rooms/{room}/reactions", json={"emoji": emoji, "count": taps})
            except httpx.TransportError:
                # The server is gone: not acknowledged, not counted.
                continue
            if answer.status_code == 200:
                counts = acknowledged.setdefault(room, {})
                counts[emoji] = counts.get(emoji, 0) + taps
    print(json.dumps(acknowledged))


if __name__ == "__main__":
    main()
