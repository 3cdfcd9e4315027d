// What charts draw, made of windows: a point for each step of the range.

import { keyOf, type Sentiment, type Step, type Update } from "./records";
import { floorTo, startsOf } from "./span";

/** Emoji with a series of their own; all the others are one. */
export const LEADING_MAX = 8;
export const OTHERS = "others";

export type Source = {
  from: number;
  to: number;
  step: number;
  /** What the history told. */
  steps: Iterable<Step | Update>;
  /** Where windows were added up: `steps` tells of everything that begins before, and `recent` of what follows. */
  boundary: number | null;
  /** What the feed told. */
  recent: Iterable<Update>;
  /** The present: what lies behind it has not happened, and a step that it is in is not over. */
  now: number;
  emoji: string[] | null;
};

export type Point = {
  start: number;
  /** Time of it that has passed, ms. */
  lasted: number;
  taps: number;
  counts: Map<string, number>;
  users: number | null;
  score: number | null;
  coverage: number;
  /** Known taps that the score rests on. */
  n: number;
};

export type Series = {
  points: Point[];
  /** Emoji with a series, most taps first; then `OTHERS` if there are any. */
  names: string[];
  /** Taps of each name in the range, in the order of `names`. */
  sums: number[];
  taps: number;
  /** The range's score, weighted by taps; null where nothing was judged. */
  score: number | null;
  coverage: number;
  step: number;
};

const blank = (start: number, lasted: number): Point => ({
  start,
  lasted,
  taps: 0,
  counts: new Map(),
  users: null,
  score: null,
  coverage: 0,
  n: 0,
});

export function build(source: Source): Series {
  const { step, now, boundary } = source;
  const points = startsOf(source.from, Math.min(source.to, now), step).map((start) =>
    blank(start, Math.max(Math.min(step, 1_000), Math.min(step, now - start))),
  );
  const first = points[0]?.start ?? 0;
  const put = (record: Step | Update) => {
    const { window } = record;
    if (window.kind === "session") return spread(points, first, step, record);
    const point = points[(floorTo(window.start, step) - first) / step];
    if (point) add(point, record);
  };
  const told = new Set<string>();
  for (const record of source.recent) {
    if (boundary === null) told.add(keyOf(record.window));
    else if (record.window.start < boundary) continue;
    put(record);
  }
  for (const record of source.steps) {
    if (boundary === null ? told.has(keyOf(record.window)) : record.window.start >= boundary) continue;
    put(record);
  }
  return { ...sorted(points, source.emoji), points, step };
}

function add(point: Point, record: Step | Update): void {
  const { window, total, counts = {}, users, sentiment } = record;
  const length = window.end - window.start;
  // Of overlapping windows in one step their sum would count taps several times: the fullest stands for all.
  if (window.kind === "hopping") {
    if (total < point.taps) return;
    point.taps = 0;
    point.counts.clear();
    point.score = null;
    point.n = point.coverage = 0;
    point.users = null;
    point.lasted = length;
  }
  const single = point.taps === 0;
  point.taps += total;
  for (const [emoji, taps] of Object.entries(counts)) point.counts.set(emoji, (point.counts.get(emoji) ?? 0) + taps);
  // Distinct users of several windows cannot be added up.
  point.users = single ? (users ?? null) : null;
  if (sentiment) mix(point, sentiment, total);
}

/** Adds a score by the taps that it rests on. */
function mix(point: Point, { score, coverage, n }: Sentiment, total: number): void {
  if (score !== null && n > 0) {
    point.score = ((point.score ?? 0) * point.n + score * n) / (point.n + n);
    point.n += n;
  }
  const before = point.taps - total;
  if (point.taps > 0) point.coverage = (point.coverage * before + coverage * total) / point.taps;
}

/** A session has a length of its own: its taps are spread over the steps that it lies in. */
function spread(points: Point[], first: number, step: number, record: Step | Update): void {
  const { start, end } = record.window;
  const length = Math.max(1, end - start);
  for (let at = Math.max(first, floorTo(start, step)); at < end; at += step) {
    const point = points[(at - first) / step];
    if (!point) break;
    const share = (Math.min(end, at + step) - Math.max(start, at)) / length;
    point.taps += record.total * share;
    for (const [emoji, taps] of Object.entries(record.counts ?? {})) {
      point.counts.set(emoji, (point.counts.get(emoji) ?? 0) + taps * share);
    }
    point.users = Math.max(point.users ?? 0, record.users ?? 0) || null;
    if (record.sentiment) mix(point, record.sentiment, record.total * share);
  }
}

function sorted(points: Point[], emoji: string[] | null): Omit<Series, "points" | "step"> {
  const counts = new Map<string, number>();
  let [taps, judged, n, covered] = [0, 0, 0, 0];
  for (const point of points) {
    taps += point.taps;
    covered += point.coverage * point.taps;
    if (point.score !== null) {
      judged += point.score * point.n;
      n += point.n;
    }
    for (const [name, count] of point.counts) counts.set(name, (counts.get(name) ?? 0) + count);
  }
  const all = [...counts].sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1));
  const chosen = emoji ? all.filter(([name]) => emoji.includes(name)) : all.slice(0, LEADING_MAX);
  const names = chosen.map(([name]) => name);
  const sums = chosen.map(([, count]) => count);
  const rest = emoji ? 0 : taps - sums.reduce((sum, count) => sum + count, 0);
  if (all.length > LEADING_MAX && rest > 0) {
    names.push(OTHERS);
    sums.push(rest);
  }
  return { names, sums, taps, score: n ? judged / n : null, coverage: taps ? covered / taps : 0 };
}

/** Taps of a name in a point. */
export function tapsOf(series: Series, point: Point, name: string): number {
  if (name !== OTHERS) return point.counts.get(name) ?? 0;
  let rest = point.taps;
  for (const own of series.names) if (own !== OTHERS) rest -= point.counts.get(own) ?? 0;
  return rest;
}

/** Taps a second in a point. */
export const perSecond = (taps: number, point: Point): number => (taps * 1_000) / point.lasted;
