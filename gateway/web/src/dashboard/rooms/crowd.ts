// All rooms as the feed tells of them. Many rooms may speak at once: nothing here draws.

import type { Moment, RoomTotals, RoomSnapshot, Update } from "../records";
import { rateAt, Windows, type Definition } from "../windows";
import { startsOf } from "../span";
import type { Sort } from "../fragment";

/** Rooms kept: those that were silent longest make space. */
export const ROOMS_MAX = 4_000;
/** Windows kept of each room: eight minutes of those of 10 s. */
const WINDOWS_MAX = 48;
/** Points of a sparkline. */
export const SPARK_POINTS = 30;

export class Row {
  readonly room: string;
  readonly windows = new Windows(WINDOWS_MAX);
  totals: RoomTotals | null = null;
  watching = 0;
  moment: Moment | null = null;
  leading: string[] = [];
  heard = 0;
  #newest = 0;

  constructor(room: string) {
    this.room = room;
  }

  keep(update: Update): void {
    // The emoji of past windows are not shown, and would be most of what is kept.
    const { counts, room_totals, ...slim } = update;
    if (!this.windows.keep(slim)) return;
    if (room_totals) this.totals = room_totals;
    if (counts && update.total > 0 && update.window.start >= this.#newest) {
      this.#newest = update.window.start;
      this.leading = Object.entries(counts)
        .sort(([, one], [, other]) => other - one)
        .slice(0, 3)
        .map(([emoji]) => emoji);
    }
  }

  get definition(): Definition | null {
    return this.windows.definition(null);
  }

  rate(now: number): number {
    const definition = this.definition;
    return definition ? rateAt(this.windows.of(definition.name), definition.length, now) : 0;
  }

  /** Taps of the last windows, oldest first. */
  spark(now: number): number[] {
    const definition = this.definition;
    if (!definition) return [];
    const step = definition.length;
    const starts = startsOf(now - (SPARK_POINTS - 1) * step, now + 1, step).slice(-SPARK_POINTS);
    const taps = starts.map(() => 0);
    for (const { window, total } of this.windows.of(definition.name)) {
      const at = Math.floor((window.start - starts[0]!) / step);
      if (at >= 0 && at < taps.length) taps[at]! += total;
    }
    return taps;
  }

  /** The newest window that tells more than taps, if it is from these minutes. */
  latest(now: number): Update | null {
    const definition = this.definition;
    if (!definition) return null;
    let found: Update | null = null;
    for (const update of this.windows.of(definition.name)) {
      if (update.total === 0 || update.window.end < now - SPARK_POINTS * definition.length) continue;
      // A window that has just begun knows of hardly anybody: the one before speaks for it.
      if (!update.final && now - update.window.start < definition.length / 3 && found) continue;
      if (!found || update.window.start > found.window.start) found = update;
    }
    return found;
  }

  /** The latest score that is known, of these minutes. */
  score(now: number): number | null {
    const definition = this.definition;
    let found: Update | null = null;
    if (definition) {
      for (const update of this.windows.of(definition.name)) {
        const known = typeof update.sentiment?.score === "number";
        const recent = update.window.end >= now - SPARK_POINTS * definition.length;
        if (known && recent && (!found || update.window.start > found.window.start)) found = update;
      }
    }
    return found?.sentiment?.score ?? null;
  }
}

export class Crowd {
  readonly rows = new Map<string, Row>();
  /** Rooms that had to make space. */
  dropped = 0;
  #heard = 0;

  row(room: string): Row {
    let row = this.rows.get(room);
    if (!row) {
      if (this.rows.size >= ROOMS_MAX) this.#drop();
      row = new Row(room);
      this.rows.set(room, row);
    }
    row.heard = ++this.#heard;
    return row;
  }

  #drop(): void {
    const silentFirst = [...this.rows.values()].sort((one, other) => one.heard - other.heard);
    for (const { room } of silentFirst.slice(0, Math.ceil(ROOMS_MAX / 16))) {
      this.rows.delete(room);
      this.dropped++;
    }
  }

  take(snapshot: RoomSnapshot): void {
    const row = this.row(snapshot.room);
    row.totals = snapshot.room_totals;
    row.watching = snapshot.watching;
    for (const update of snapshot.windows) row.keep(update);
    row.totals = snapshot.room_totals;
    for (const moment of snapshot.moments ?? []) this.mark(moment);
  }

  update(update: Update, watching: number | undefined): void {
    if (!update.room) return;
    const row = this.row(update.room);
    row.keep(update);
    if (watching !== undefined) row.watching = watching;
  }

  mark(moment: Moment): void {
    const row = this.row(moment.room);
    const known = row.moment;
    const replaces = !known || (known.id === moment.id ? moment.revision >= known.revision : moment.start >= known.start);
    if (replaces) row.moment = moment;
  }
}

/** Rooms whose name has `find` in it, in order. Equal ones by name, so that the order is the same every time. */
export function sorted(rows: Iterable<Row>, sort: Sort, find: string, now: number): Row[] {
  const wanted = find.trim().toLowerCase();
  const found = [...rows].filter(({ room }) => room.toLowerCase().includes(wanted));
  if (sort === "room") return found.sort((one, other) => one.room.localeCompare(other.room));
  const value: Record<Exclude<Sort, "room">, (row: Row) => number> = {
    rate: (row) => row.rate(now),
    mood: (row) => row.score(now) ?? -2,
    users: (row) => row.latest(now)?.users ?? -1,
    watching: (row) => row.watching,
    total: (row) => row.totals?.reactions ?? 0,
    moment: (row) => row.moment?.start ?? 0,
  };
  const keyed = found.map((row) => [value[sort](row), row] as const);
  keyed.sort(([one, a], [other, b]) => other - one || (b.totals?.reactions ?? 0) - (a.totals?.reactions ?? 0) || a.room.localeCompare(b.room));
  return keyed.map(([, row]) => row);
}
