// What the dashboard reads: the gateway's records, less what it does not ask for.

import type { Moment, RoomTotals, Sentiment, Snapshot, WindowRef, WindowUpdate } from "../../ovation-api.js";

export type { DeadLetter, Moment, Pipeline, RoomTotals, Sentiment, WindowRef } from "../../ovation-api.js";

/** A window's running or last result. What the feed's `fields` leaves out is not there. */
export type Update = Pick<WindowUpdate, "epoch" | "revision" | "final" | "window" | "total"> & {
  room?: string;
  counts?: Record<string, number>;
  retracted?: boolean;
  users?: number | null;
  sentiment?: Sentiment | null;
  room_totals?: RoomTotals;
};

/** Windows added up by the gateway. */
export type Step = {
  window: WindowRef;
  total: number;
  counts: Record<string, number>;
  windows: number;
  users?: number | null;
  sentiment?: Sentiment | null;
};

export type Answer = { from: number; to: number; windows: (Update | Step)[]; next: string | null };

export type RoomSnapshot = Omit<Snapshot, "windows"> & { windows: Update[] };

export type Message =
  | ({ type: "snapshot" } & RoomSnapshot)
  | { type: "update"; cursor: string; update: Update; watching?: number }
  | { type: "moment"; cursor: string; moment: Moment }
  | { type: "skipped"; count: number }
  | { type: "error"; problem: { detail?: string; title: string; status: number } };

/** Tells windows apart. The end of a session grows, so it does not name it. */
export const keyOf = ({ name, start }: WindowRef): string => `${name} ${start}`;

export const lengthOf = ({ start, end }: WindowRef): number => end - start;
