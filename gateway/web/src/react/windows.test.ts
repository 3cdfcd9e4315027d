import { expect, test } from "vitest";
import type { WindowUpdate } from "../../ovation.js";
import { Windows } from "./windows";

function record(start: number, revision: number, counts: Record<string, number>, more: Partial<WindowUpdate> = {}): WindowUpdate {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return {
    stage: "reactions",
    epoch: 1,
    seq: revision,
    room: "lobby",
    window: { name: "10s", kind: "tumbling", start, end: start + 10_000 },
    revision,
    final: false,
    total,
    counts,
    users: null,
    sentiment: null,
    room_totals: { reactions: total, late: 0, duplicates: 0, rejected: 0 },
    source: { partition: 0, offset: 0 },
    ...more,
  } as WindowUpdate;
}

test("a record tells what it adds", () => {
  const windows = new Windows();
  expect(windows.keep(record(0, 1, { "🔥": 3 }))).toEqual(new Map([["🔥", 3]]));
  expect(windows.keep(record(0, 2, { "🔥": 5, "👏": 1 }))).toEqual(new Map([["🔥", 2], ["👏", 1]]));
});

test("an older revision is no news, a newer epoch is", () => {
  const windows = new Windows();
  windows.keep(record(0, 2, { "🔥": 5 }));
  expect(windows.keep(record(0, 1, { "🔥": 3 }))).toBeNull();
  expect(windows.newest()?.revision).toBe(2);
  expect(windows.keep(record(0, 1, { "🔥": 4 }, { epoch: 2 }))).toEqual(new Map([["🔥", 4]]));
});

test("each tap is told once, by the shortest windows", () => {
  const windows = new Windows();
  windows.keep(record(0, 1, { "🔥": 1 }));
  const minute = { window: { name: "1m", kind: "tumbling", start: 0, end: 60_000 } as const };
  expect(windows.keep(record(0, 1, { "🔥": 1 }, minute))).toBeNull();
  expect(windows.newest()?.window.name).toBe("10s");
});

test("the newest window is the one that is shown, and few are kept", () => {
  const windows = new Windows();
  for (let start = 0; start < 100; start++) windows.keep(record(start * 10_000, 1, { "🔥": 1 }));
  expect(windows.newest()?.window.start).toBe(990_000);
  // An older one is forgotten: a record of it is as the first.
  expect(windows.keep(record(0, 1, { "🔥": 2 }))).toEqual(new Map([["🔥", 2]]));
});

test("a session that has gone into another is gone", () => {
  const windows = new Windows();
  windows.keep(record(0, 1, { "🔥": 1 }));
  expect(windows.keep(record(0, 2, {}, { retracted: true }))).toBeNull();
  expect(windows.newest()).toBeNull();
});
