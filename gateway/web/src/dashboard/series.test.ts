import { expect, test } from "vitest";
import { crowds, moods, stacked } from "./chart/data";
import { Palette } from "./palette";
import type { Step, Update, WindowRef } from "./records";
import { build, LEADING_MAX, OTHERS, perSecond, tapsOf, type Source } from "./series";
import { rateAt, Windows } from "./windows";

const NOW = 1_000_000;

function update(start: number, counts: Record<string, number>, more: Partial<Update> = {}): Update {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const window: WindowRef = { name: "10s", kind: "tumbling", start, end: start + 10_000 };
  return { epoch: 1, revision: 1, final: true, window, total, counts, users: null, sentiment: null, ...more };
}

function source(more: Partial<Source>): Source {
  return { from: NOW - 60_000, to: NOW, step: 10_000, steps: [], boundary: null, recent: [], now: NOW, emoji: null, ...more };
}

test("a later revision replaces an earlier one, whatever order they come in", () => {
  const windows = new Windows();
  expect(windows.keep(update(0, { "🔥": 3 }, { revision: 3 }))).toBe(true);
  expect(windows.keep(update(0, { "🔥": 1 }, { revision: 1 }))).toBe(false);
  expect(windows.keep(update(0, { "🔥": 2 }, { epoch: 2, revision: 1 }))).toBe(true);
  expect(windows.keep(update(0, { "🔥": 9 }, { epoch: 1, revision: 9 }))).toBe(false);
  expect([...windows.of("10s")].map(({ total }) => total)).toEqual([2]);
});

test("a session that another swallowed is gone, and stays gone", () => {
  const windows = new Windows();
  const window: WindowRef = { name: "s", kind: "session", start: 5, end: 90 };
  windows.keep(update(0, {}, { window, revision: 5, retracted: true }));
  windows.keep(update(0, { "🔥": 4 }, { window: { ...window, end: 50 }, revision: 4 }));
  expect([...windows.of("s")]).toEqual([]);
});

test("windows are bounded, and it is known from where on they are whole", () => {
  const windows = new Windows(16);
  for (let at = 0; at < 40; at++) windows.keep(update(at * 10_000, { "🔥": 1 }));
  expect(windows.size).toBeLessThanOrEqual(16);
  const starts = [...windows.of("10s")].map(({ window }) => window.start);
  expect(Math.min(...starts)).toBe(windows.forgotten);
  expect(Math.max(...starts)).toBe(390_000);
});

test("the shortest tumbling windows are the usual ones", () => {
  const windows = new Windows();
  const kinds: [string, WindowRef["kind"], number][] = [["5s/1s", "hopping", 5_000], ["1m", "tumbling", 60_000], ["10s", "tumbling", 10_000]];
  for (const [name, kind, length] of kinds) windows.keep(update(0, { "🔥": 1 }, { window: { name, kind, start: 0, end: length } }));
  expect(windows.definition(null)?.name).toBe("10s");
  expect(windows.definition("1m")?.name).toBe("1m");
  expect(windows.definition("gone")?.name).toBe("10s");
  expect(windows.definitions().map(({ name }) => name)).toEqual(["10s", "1m", "5s/1s"]);
});

test("silent times are zero and not a gap", () => {
  const series = build(source({ recent: [update(NOW - 60_000, { "🔥": 5 }), update(NOW - 20_000, { "🔥": 2 })] }));
  expect(series.points.map(({ taps }) => taps)).toEqual([5, 0, 0, 0, 2, 0]);
  expect(series.taps).toBe(7);
});

test("the past is told by steps, what follows by windows, and no tap twice", () => {
  const step: Step = { window: { name: "10s", kind: "tumbling", start: NOW - 60_000, end: NOW - 40_000 }, total: 30, counts: { "🔥": 30 }, windows: 2 };
  const more: Step = { ...step, total: 3, counts: { "👏": 3 } };
  const recent = [update(NOW - 60_000, { "🔥": 30 }), update(NOW - 40_000, { "🔥": 4 }), update(NOW - 30_000, { "🔥": 1 })];
  // A step that was cut goes on in the next answer: the two are added up.
  const series = build(source({ step: 20_000, steps: [step, more], boundary: NOW - 40_000, recent }));
  expect(series.points.map(({ taps }) => taps)).toEqual([33, 5, 0]);
  expect(perSecond(series.points[0]!.taps, series.points[0]!)).toBeCloseTo(33 / 20);
});

test("a window that both the history and the feed tell of counts once, and the feed knows more", () => {
  const open = update(NOW - 40_000, { "🔥": 4 }, { revision: 2 });
  const series = build(source({ steps: [update(NOW - 50_000, { "🔥": 1 }), update(NOW - 40_000, { "🔥": 3 })], recent: [open] }));
  expect(series.points.map(({ taps }) => taps)).toEqual([0, 1, 4, 0, 0, 0]);
});

test("the step that is not over yet has a rate over the time that has passed", () => {
  const series = build(source({ to: NOW + 5_000, now: NOW + 5_000, recent: [update(NOW, { "🔥": 20 }, { final: false })] }));
  const last = series.points[series.points.length - 1]!;
  expect(last).toMatchObject({ start: NOW, taps: 20, lasted: 5_000 });
  expect(perSecond(last.taps, last)).toBe(4);
});

test("the leading emoji have series of their own, and the others are one", () => {
  const counts = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [String.fromCodePoint(0x1f600 + at), 20 - at]));
  const series = build(source({ recent: [update(NOW - 10_000, counts)] }));
  expect(series.names).toHaveLength(LEADING_MAX + 1);
  expect(series.names[0]).toBe("😀");
  expect(series.names[LEADING_MAX]).toBe(OTHERS);
  expect(series.sums.reduce((sum, count) => sum + count)).toBe(series.taps);
  expect(tapsOf(series, series.points[5]!, OTHERS)).toBe(12 + 11 + 10);
});

test("chosen emoji are shown alone", () => {
  const series = build(source({ emoji: ["👏"], recent: [update(NOW - 10_000, { "🔥": 5, "👏": 2 })] }));
  expect(series.names).toEqual(["👏"]);
  expect(series.taps).toBe(7);
});

test("scores are added up by the taps that they rest on, and a gap stays one", () => {
  const sentiment = (score: number | null, coverage: number, n: number) => ({ sentiment: { score, coverage, n } });
  const series = build(
    source({
      step: 20_000,
      recent: [
        update(NOW - 40_000, { "🔥": 10 }, sentiment(0.5, 1, 10)),
        update(NOW - 30_000, { "🔥": 30 }, sentiment(-0.5, 0.5, 15)),
        update(NOW - 20_000, { "🔥": 2 }, sentiment(null, 1, 2)),
      ],
    }),
  );
  expect(series.points.map(({ score }) => score)).toEqual([null, (0.5 * 10 - 0.5 * 15) / 25, null]);
  expect(series.points[1]!.coverage).toBeCloseTo((10 * 1 + 30 * 0.5) / 40);
});

test("users are told for a window, and never added up", () => {
  const windows = [update(NOW - 40_000, { "🔥": 9 }, { users: 4 }), update(NOW - 30_000, { "🔥": 9 }, { users: 5 })];
  expect(build(source({ recent: windows })).points.map(({ users }) => users)).toEqual([null, null, 4, 5, null, null]);
  expect(build(source({ step: 20_000, recent: windows })).points.map(({ users }) => users)).toEqual([null, null, null]);
});

test("overlapping windows do not count taps twice, and sessions are spread over their time", () => {
  const hop = (start: number, total: number) => update(start, { "🔥": total }, { window: { name: "h", kind: "hopping", start, end: start + 20_000 } });
  const hopping = build(source({ step: 20_000, recent: [hop(NOW - 40_000, 8), hop(NOW - 30_000, 6)] }));
  expect(hopping.points.map(({ taps }) => taps)).toEqual([0, 8, 0]);
  const window: WindowRef = { name: "s", kind: "session", start: NOW - 45_000, end: NOW - 25_000 };
  const session = build(source({ recent: [update(0, { "🔥": 20 }, { window })] }));
  expect(session.points.map(({ taps }) => taps)).toEqual([0, 5, 10, 5, 0, 0]);
});

test("a stack adds up to the whole, and ends with its last value twice", () => {
  const series = build(source({ recent: [update(NOW - 60_000, { "🔥": 50, "👏": 30 }), update(NOW - 10_000, { "🔥": 10 })] }));
  const { names, data } = stacked(series);
  expect(names).toEqual(["👏", "🔥"]);
  expect(data[0]).toHaveLength(7);
  expect(data[0][6]).toBe(NOW);
  expect(data[1]).toEqual([8, 0, 0, 0, 0, 1, 1]);
  expect(data[2]).toEqual([5, 0, 0, 0, 0, 1, 1]);
  expect(moods(series)[1]).toEqual([null, null, null, null, null, null, null]);
  expect(crowds(series, true)[2]).toEqual([null, 0, 0, 0, 0, null, null]);
  expect(crowds(series, false)).toHaveLength(2);
});

test("nothing at all is drawn as nothing", () => {
  const series = build(source({ from: NOW, to: NOW }));
  expect(stacked(series).data).toEqual([[]]);
});

test("the present rate looks back for as long as a window is", () => {
  const windows = [update(NOW - 10_000, { "🔥": 100 }), update(NOW, { "🔥": 10 }, { final: false })];
  expect(rateAt(windows, 10_000, NOW + 5_000)).toBe((50 + 10) / 10);
  expect(rateAt(windows, 10_000, NOW + 30_000)).toBe(0);
});

test("an emoji keeps its colour while it is shown", () => {
  const palette = new Palette();
  expect(palette.slots(["🔥", "👏", OTHERS])).toEqual([0, 1, -1]);
  expect(palette.slots(["👏", "🔥"])).toEqual([1, 0]);
  expect(palette.slots(["👏", "😂"])).toEqual([1, 0]);
});
