// How a range of time is cut into the points of a chart.

/** Points of a chart: more than a screen shows apart, and few enough to draw in a frame. */
export const POINTS_MAX = 600;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Lengths that people count in. */
const ROUND = [
  ...[1, 2, 5, 10, 15, 20, 30].map((count) => count * SECOND),
  ...[1, 2, 3, 5, 10, 15, 20, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  DAY,
];

/** Length of a point in ms: whole windows, and so many that the range has at most `POINTS_MAX` of them. */
export function stepFor(span: number, windowMs: number): number {
  const least = Math.max(windowMs, span / POINTS_MAX);
  const round = ROUND.find((length) => length >= least && length % windowMs === 0);
  return round ?? Math.ceil(least / windowMs) * windowMs;
}

/** Steps are counted from 1970, as the gateway counts them. */
export const floorTo = (time: number, step: number): number => Math.floor(time / step) * step;

/** Starts of the steps that cover [from, to). */
export function startsOf(from: number, to: number, step: number): number[] {
  const starts = [];
  for (let start = floorTo(from, step); start < to; start += step) starts.push(start);
  return starts;
}
