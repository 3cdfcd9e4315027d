// uPlot, set up for times, this page's colours, and a strict content policy.

import uPlot from "uplot";
import { date, minute, rate, time } from "../figures";
import type { Colours } from "./colours";

export type Line = {
  label: string;
  /** A colour of the style sheet. */
  colour: string;
  /** Filled down to the next one below, as in a stack. */
  area?: boolean;
  dash?: number[];
  /** Drawn by `paint` alone. */
  unseen?: boolean;
  /** Read on the axis at the right. */
  right?: boolean;
};

export type Kind = {
  lines: Line[];
  height: number;
  /** Fixed ends of the upright axis; else from nothing up to what there is. */
  ends?: [number, number];
  /** Points are so many that outlines would cover them. */
  dense?: boolean;
  /** Values have a sign. */
  signed?: boolean;
  /** Draws what is no line, behind the lines. */
  paint?: (plot: uPlot, colours: Colours) => void;
  /** Room above for marks. */
  marked?: boolean;
  /** Lines are steps: each value holds for the whole of its window. */
  stepped?: boolean;
};

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Distances of labels on the axis of times. */
const APART = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 3, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7].map((count) => count * DAY),
];

/** Labels of times, as fine as their distance asks for. */
export function timeLabels(times: number[], apart: number): string[] {
  return times.map((at) => {
    if (apart >= DAY) return date(at);
    if (apart < MINUTE) return time(at);
    const local = new Date(at);
    return local.getHours() === 0 && local.getMinutes() === 0 ? date(at) : minute(at);
  });
}

export type Hooks = {
  bounds: () => [number, number];
  cursor: (plot: uPlot) => void;
  drawn: (plot: uPlot) => void;
  selected: (from: number, to: number) => void;
};

/** Room for an axis at the right, so that times stand below each other in all charts. */
const RIGHT_PX = 44;
/** Narrower charts have no room to spare. */
const WIDE_PX = 600;

/** Least distance of labels on the axis of times, px: those with seconds are longer. */
function spaceOf(_: uPlot, __: number, from: number, to: number, size: number): number {
  const [short, long] = [48, 70];
  return ((to - from) * short) / size < MINUTE / 2 ? long : short;
}

/** Room for a few taps, so that an empty chart has an axis. */
const TOP_MIN = 1;

/** Ends of an axis that shows everything up to `most`, and a little space above. */
export const upTo = (most: number): [number, number] => [0, Math.max(TOP_MIN, most * 1.08)];

export function options(kind: Kind, width: number, colours: Colours, together: string, hooks: Hooks): uPlot.Options {
  const { lines, stepped } = kind;
  const grid = { stroke: colours.of("--edge"), width: 1 };
  const axis = { stroke: colours.of("--soft"), font: FONT, grid, ticks: { ...grid, size: 4 } };
  const upright = {
    range: (_: uPlot, __: number | null, most: number | null): uPlot.Range.MinMax => kind.ends ?? upTo(most ?? 0),
  };
  const value: uPlot.Axis = { ...axis, size: 46, values: (_, splits) => splits.map((split) => (split === null ? "" : rate(split))) };
  if (kind.signed) value.values = (_, splits) => splits.map((split) => (split > 0 ? `+${split}` : String(split).replace("-", "−")));
  const twice = lines.some(({ right }) => right);
  return {
    width,
    height: kind.height,
    ms: 1,
    padding: [kind.marked ? 30 : 12, twice ? 0 : width > WIDE_PX ? RIGHT_PX : 12, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      // What is chosen in one chart reaches the others by the address; only the cursor goes along.
      sync: { key: together, setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true } },
    },
    scales: { x: { time: true, range: () => hooks.bounds() }, y: upright, ...(twice ? { right: upright } : {}) },
    axes: [
      { ...axis, incrs: APART, space: spaceOf, size: 28, values: (_, splits, __, ___, apart) => timeLabels(splits, apart) },
      value,
      ...(twice ? [{ ...value, scale: "right", side: 1, size: RIGHT_PX, grid: { show: false } } as uPlot.Axis] : []),
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        const series: uPlot.Series = {
          label: line.label,
          scale: line.right ? "right" : "y",
          stroke: colours.of(line.colour),
          width: line.unseen || (line.area && kind.dense) ? 0 : line.area ? 1 : kind.dense ? 1.5 : 2,
          points: { show: false },
        };
        if (stepped && uPlot.paths.stepped) series.paths = uPlot.paths.stepped({ align: 1 });
        if (line.area) series.fill = colours.thin(line.colour, kind.dense ? 0.85 : 0.72);
        if (line.dash) series.dash = line.dash;
        return series;
      }),
    ],
    hooks: {
      drawClear: [
        (plot) => {
          // Behind a picture of the chart, too.
          plot.ctx.fillStyle = colours.of("--card");
          plot.ctx.fillRect(0, 0, plot.ctx.canvas.width, plot.ctx.canvas.height);
        },
      ],
      drawAxes: [(plot) => kind.paint?.(plot, colours)],
      draw: [hooks.drawn],
      setCursor: [hooks.cursor],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const ends = [left, left + width].map((at) => Math.round(plot.posToVal(at, "x")));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          hooks.selected(ends[0]!, ends[1]!);
        },
      ],
    },
  };
}
