// Series as uPlot takes them: columns, of which the last value is there twice, so that a step has an end.

import type uPlot from "uplot";
import { perSecond, tapsOf, type Series } from "../series";

type Column = (number | null)[];

function columns({ points, step }: Series, ...columns: Column[]): uPlot.AlignedData {
  const last = points[points.length - 1];
  const times = points.map(({ start }) => start);
  if (!last) return [[], ...columns] as uPlot.AlignedData;
  const ended = (column: Column) => [...column, column[column.length - 1] ?? null];
  return [[...times, last.start + step], ...columns.map(ended)] as uPlot.AlignedData;
}

/** Rates on top of each other, the highest first: each is drawn over the one before. Names are those of the series, backwards. */
export function stacked(series: Series): { names: string[]; data: uPlot.AlignedData } {
  const sums = series.points.map(() => 0);
  const layers = series.names.map((name) =>
    series.points.map((point, at) => (sums[at] = sums[at]! + perSecond(tapsOf(series, point, name), point))),
  );
  return { names: [...series.names].reverse(), data: columns(series, ...layers.reverse()) };
}

/** The score; null where nothing was judged. */
export const moods = (series: Series): uPlot.AlignedData => columns(series, series.points.map(({ score }) => score));

/** Taps of each window, and its distinct users where they are known. */
export function crowds(series: Series, withUsers: boolean): uPlot.AlignedData {
  const taps = series.points.map(({ taps }) => taps);
  if (!withUsers) return columns(series, taps);
  return columns(series, taps, series.points.map(({ users, taps }) => users ?? (taps === 0 ? 0 : null)));
}
