import { describe, expect, it } from "vitest";
import type { Snapshot, WindowRef, WindowUpdate } from "../../ovation-api.js";
import { Crowd } from "./crowd";

let reactions = 0;

function update(window: Partial<WindowRef>, revision: number, counts: Record<string, number>, more = {}): WindowUpdate {
  const whole: WindowRef = { name: "10s", kind: "tumbling", start: 10_000, end: 20_000, ...window };
  const total = Object.values(counts).reduce((one, other) => one + other, 0);
  return {
    stage: "reactions",
    epoch: 1,
    seq: 1,
    room: "lobby",
    window: whole,
    revision,
    final: false,
    total,
    counts,
    users: null,
    sentiment: null,
    top: [],
    rate: 0,
    room_totals: { reactions: (reactions += 1), late: 0, duplicates: 0, rejected: 0 },
    source: { partition: 0, offset: 0 },
    ...more,
  };
}

function snapshot(windows: WindowUpdate[], total: number): Snapshot {
  const room_totals = { reactions: total, late: 0, duplicates: 0, rejected: 0 };
  return { cursor: "c", room: "lobby", room_totals, watching: 1, open: true, emoji: null, windows, moments: [] };
}

function crowd() {
  const taps: Record<string, number> = {};
  const before: Record<string, number> = {};
  const made = new Crowd({
    add: (emoji, more) => (taps[emoji] = (taps[emoji] ?? 0) + more),
    remember: (emoji, more) => (before[emoji] = (before[emoji] ?? 0) + more),
  });
  return { crowd: made, taps, before };
}

describe("the crowd", () => {
  it("tells of whole windows what is new", () => {
    const { crowd: here, taps } = crowd();
    here.update(update({}, 1, { "🔥": 1 }), 0);
    here.update(update({}, 2, { "🔥": 4, "👏": 2 }), 0);
    here.update(update({}, 2, { "🔥": 4, "👏": 2 }), 0);
    here.update(update({}, 1, { "🔥": 1 }), 0);
    here.update(update({ start: 20_000, end: 30_000 }, 1, { "🔥": 1 }), 0);
    // A straggler of the window before.
    here.update(update({}, 3, { "🔥": 5, "👏": 2 }, { final: true }), 0);
    expect(taps).toEqual({ "🔥": 6, "👏": 2 });
  });

  it("lets nothing rise that was before", () => {
    const { crowd: here, taps, before } = crowd();
    here.snapshot(snapshot([update({}, 7, { "🔥": 300 })], 5_000), 0);
    expect([here.total, taps, before]).toEqual([5_000, {}, { "🔥": 300 }]);
    here.update(update({}, 8, { "🔥": 301 }), 0);
    expect(taps).toEqual({ "🔥": 1 });
  });

  it("counts a tap once where windows of several definitions hold it", () => {
    const { crowd: here, taps } = crowd();
    const minute = { name: "minute", kind: "hopping" as const, start: 0, end: 60_000 };
    here.update(update(minute, 1, { "🔥": 2 }), 0);
    here.update(update({}, 1, { "🔥": 2 }), 0);
    here.update(update({ ...minute, start: 10_000, end: 70_000 }, 1, { "🔥": 2 }), 0);
    here.update(update(minute, 2, { "🔥": 5 }), 0);
    here.update(update({}, 2, { "🔥": 5 }), 0);
    expect(taps).toEqual({ "🔥": 5 });
  });

  it("counts a tap once where all windows overlap", () => {
    const { crowd: here, taps } = crowd();
    const hop = (start: number): Partial<WindowRef> => ({ name: "hop", kind: "hopping", start, end: start + 10_000 });
    for (let second = 0; second < 30; second++) {
      // In each second 5 taps, told by each of the ten windows that hold it.
      for (let start = Math.max(0, second - 9); start <= second; start++) {
        const room_totals = { reactions: 5 * (second + 1), late: 0, duplicates: 0, rejected: 0 };
        const counts = { "🔥": 5 * (second - start + 1) };
        here.update(update(hop(1_000 + start * 1_000), second - start + 1, counts, { room_totals }), 0);
      }
    }
    expect(taps).toEqual({ "🔥": 150 });
  });

  it("goes on with another definition when the one it reads has ended", () => {
    const { crowd: here, taps } = crowd();
    here.update(update({}, 1, { "🔥": 1 }), 0);
    const minute = { name: "1m", start: 600_000, end: 660_000 };
    here.update(update(minute, 1, { "🔥": 7 }), 0);
    here.update(update(minute, 2, { "🔥": 9 }), 0);
    expect(taps).toEqual({ "🔥": 3 });
  });

  it("has the rate of the last seconds", () => {
    const { crowd: here } = crowd();
    for (let tenth = 0; tenth < 60; tenth++) here.update(update({}, tenth + 1, { "🔥": 10 * (tenth + 1) }), tenth * 100);
    expect(here.rate(5_900)).toBeCloseTo(100);
    expect(here.burst(5_900)).toBeCloseTo(100);
    expect(here.rate(7_400)).toBeCloseTo(50, -1);
    expect(here.burst(7_400)).toBe(0);
    expect(here.rate(60_000)).toBe(0);
  });

  it("keeps the mood while a new window has none yet", () => {
    const { crowd: here } = crowd();
    here.update(update({}, 1, { "🔥": 20 }, { sentiment: { score: 0.5, coverage: 1, n: 20 } }), 100);
    here.update(update({ start: 20_000, end: 30_000 }, 1, { "🔥": 1 }, { sentiment: { score: null, coverage: 1, n: 1 } }), 200);
    expect(here.mood(5_000)).toBe(0.5);
    expect(here.mood(60_000)).toBeNull();
    expect(crowd().crowd.mood(0)).toBeNull();
  });

  it("counts anew in a new epoch", () => {
    const { crowd: here, taps } = crowd();
    here.snapshot(snapshot([update({}, 7, { "🔥": 300 })], 5_000), 0);
    const room_totals = { reactions: 2, late: 0, duplicates: 0, rejected: 0 };
    here.update(update({}, 1, { "🔥": 2 }, { epoch: 2, room_totals }), 0);
    expect([here.total, taps]).toEqual([2, { "🔥": 2 }]);
  });

  it("does without the members that a gateway may not send", () => {
    const { crowd: here, taps } = crowd();
    here.update(update({}, 1, { "🔥": 1 }, { sentiment: undefined, users: undefined }), 0);
    expect(taps).toEqual({ "🔥": 1 });
  });

  it("tells nothing twice in a day of windows", () => {
    const { crowd: here, taps } = crowd();
    for (let window = 1; window <= 8_640; window++) {
      const ref = { start: window * 10_000, end: window * 10_000 + 10_000 };
      here.update(update(ref, 1, { "🔥": 1 }), 0);
      here.update(update(ref, 2, { "🔥": 2 }), 0);
    }
    // Of windows that are forgotten nothing is told anew.
    here.update(update({ start: 10_000, end: 20_000 }, 3, { "🔥": 2 }), 0);
    expect(taps).toEqual({ "🔥": 17_280 });
  });
});
