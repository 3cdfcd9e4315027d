// A room that is shown: its live windows from the feed, its past from the history.

import { stepFor, floorTo } from "../span";
import { Feed, type FeedState } from "../../lib/feed";
import type { Range } from "../fragment";
import { ask, pathOf, present, Refused, token } from "../gateway";
import { Histories, patiently, type Past } from "../history";
import { Moments } from "../moments";
import type { Message, Moment, RoomTotals, Step, Update } from "../records";
import { build, type Series } from "../series";
import { rateAt, Windows, type Definition } from "../windows";

const EVERY = "250ms";
const FIELDS = "counts,total,users,sentiment,room_totals";
/** Windows that ended so long ago are final: grace, idleness, and the way to the topic. */
const SETTLED_MS_MIN = 30_000;
/** Records that are looked at to learn which windows a silent room has. */
const LEARN_RECORDS = 50;
const LEARN_MS = 7 * 86_400_000;

export type Loading = "no" | "first" | "more";

export class RoomModel {
  readonly room: string;
  readonly windows = new Windows();
  readonly moments = new Moments();
  totals: RoomTotals | null = null;
  watching = 0;
  open = true;
  state: FeedState = "connecting";
  reason = "";
  /** The snapshot has come. */
  known = false;
  loading: Loading = "first";
  trouble: Refused | null = null;
  cut = false;

  #changed: () => void;
  #feed: Feed<Message>;
  #histories = new Histories();
  #steps: (Step | Update)[] = [];
  #boundary = 0;
  /** Windows before the boundary are added up. */
  #sums = false;
  /** Range and window that `#steps` tells of. */
  #shown = "";
  #reading: AbortController | undefined;
  #wanted: { range: Range; window: string | null } | null = null;

  /** @param changed called at every change, also many times between two frames */
  constructor(room: string, changed: () => void) {
    this.room = room;
    this.#changed = changed;
    this.#feed = new Feed<Message>({
      path: `${pathOf(room)}/feed?every=${EVERY}&fields=${FIELDS}`,
      token: token(),
      hear: (message) => this.#hear(message),
      tell: (state, reason) => {
        this.state = state;
        this.reason = reason;
        this.#changed();
      },
    });
  }

  close(): void {
    this.#feed.close();
    this.#reading?.abort();
  }

  #hear(message: Message): void {
    if (message.type === "snapshot") {
      this.totals = message.room_totals;
      this.watching = message.watching;
      this.open = message.open ?? true;
      for (const update of message.windows) this.windows.keep(update);
      for (const moment of message.moments ?? []) this.moments.keep(moment);
      const missed = this.known && message.resumed === false;
      const first = !this.known;
      this.known = true;
      if (first || missed) this.read(true);
    } else if (message.type === "update") {
      const { update } = message;
      const silent = !this.windows.size;
      this.windows.keep(update);
      if (update.room_totals) this.totals = update.room_totals;
      if (message.watching !== undefined) this.watching = message.watching;
      if (silent) this.read(true);
    } else if (message.type === "moment") this.moments.keep(message.moment);
    this.#changed();
  }

  definition(name: string | null): Definition | null {
    return this.windows.definition(name);
  }

  /** Shows this range from now on: what is known of it at once, the rest when it comes. */
  show(range: Range, window: string | null): void {
    this.#wanted = { range, window };
    if (this.known) this.read(false);
  }

  bounds(range: Range): { from: number; to: number } {
    if (!range.live) return range;
    const now = present();
    return { from: now - range.span, to: now };
  }

  stepOf(range: Range, window: string | null): number {
    const { from, to } = this.bounds(range);
    return stepFor(to - from, this.definition(window)?.length ?? 10_000);
  }

  /** Reads what the range holds, unless it is known. */
  read(anew: boolean): void {
    if (!this.#wanted) return;
    const { range, window } = this.#wanted;
    const key = `${JSON.stringify(range)} ${window}`;
    // What the feed has told since is kept up to a bound; then the history has to tell it.
    const worn = this.windows.forgotten > this.#boundary && this.bounds(range).to > this.#boundary;
    if (key === this.#shown && !anew && !worn) return;
    this.#shown = key;
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.loading = "first";
    this.trouble = null;
    this.#changed();
    this.#read(range, window, reading.signal).then(
      () => {
        this.loading = "no";
        this.#changed();
      },
      (error: unknown) => {
        if (reading.signal.aborted) return;
        this.trouble = error instanceof Refused ? error : new Refused(0, { detail: "The history could not be read." });
        this.#shown = "";
        this.loading = "no";
        this.#changed();
      },
    );
  }

  async #read(range: Range, window: string | null, signal: AbortSignal): Promise<void> {
    const { from, to } = this.bounds(range);
    // One after the other: the gateway reads few histories at a time, for all who ask.
    await this.#readWindows(from, to, window, signal);
    await this.#readMoments(from, to, signal);
  }

  async #readWindows(from: number, to: number, window: string | null, signal: AbortSignal): Promise<void> {
    const definition = this.definition(window) ?? (await this.#learn(to, window, signal));
    if (!definition) return;
    const step = stepFor(to - from, definition.length);
    const settled = Math.max(SETTLED_MS_MIN, 3 * definition.length);
    const open = this.windows.oldestOpen(definition.name, Number.POSITIVE_INFINITY);
    const boundary = Math.min(floorTo(Math.min(present() - settled, open), step), Math.ceil(to / step) * step);
    await this.#readSettled(definition, floorTo(from, step), boundary, step, signal);
    await this.#readRecent(definition, Math.max(boundary, floorTo(from, step)), Math.ceil(to), signal);
  }

  /** What has become final long ago, added up where a point is more than a window. */
  async #readSettled({ name, kind, length }: Definition, from: number, to: number, step: number, signal: AbortSignal): Promise<void> {
    const sums = step > length && kind === "tumbling";
    const take = (past: Past, loading: Loading) => {
      this.#steps = past.records;
      this.#boundary = to;
      this.#sums = sums;
      this.cut = past.cut;
      this.loading = loading;
      this.#changed();
    };
    if (to <= from) return take({ records: [], cut: false }, "more");
    const asked = { room: this.room, window: name, from, to, step: sums ? step : null };
    take(await this.#histories.read(asked, signal, (part) => take(part, "more")), "more");
  }

  /** Windows since the boundary one by one, because more of them come by the feed. */
  async #readRecent({ name }: Definition, from: number, to: number, signal: AbortSignal): Promise<void> {
    if (to <= from) return;
    const past = await this.#histories.read({ room: this.room, window: name, from, to, step: null }, signal);
    for (const update of past.records) if ("revision" in update) this.windows.keep(update);
    this.#changed();
  }

  async #learn(to: number, window: string | null, signal: AbortSignal): Promise<Definition | null> {
    const query = new URLSearchParams({ from: String(Math.max(0, Math.round(to) - LEARN_MS)), to: String(Math.round(to)), limit: String(LEARN_RECORDS) });
    const answer = await ask(`${pathOf(this.room)}/history?${query}`, signal);
    const { windows } = (await answer.json()) as { windows: Update[] };
    for (const update of windows) this.windows.keep(update);
    return this.definition(window);
  }

  async #readMoments(from: number, to: number, signal: AbortSignal): Promise<void> {
    try {
      const query = new URLSearchParams({ from: String(Math.round(from)), to: String(Math.round(to)), limit: "200" });
      const answer = await patiently(`${pathOf(this.room)}/moments?${query}`, signal);
      const { moments } = (await answer.json()) as { moments: Moment[] };
      for (const moment of moments) this.moments.keep(moment);
      this.#changed();
    } catch (error) {
      // Charts are whole without moments, and a gateway without such a topic has none.
      if (!(error instanceof Refused)) throw error;
    }
  }

  series(range: Range, window: string | null, emoji: string[] | null): Series | null {
    const definition = this.definition(window);
    if (!definition) return null;
    const { from, to } = this.bounds(range);
    const now = present();
    const recent = this.windows.of(definition.name);
    const step = stepFor(to - from, definition.length);
    return build({ from, to, step, steps: this.#steps, boundary: this.#sums ? this.#boundary : null, recent, now, emoji });
  }

  rate(window: string | null): number {
    const definition = this.definition(window);
    return definition ? rateAt(this.windows.of(definition.name), definition.length, present()) : 0;
  }

  /** The newest window with taps, if it has not been silent for longer than a few windows. */
  newest(window: string | null): Update | null {
    const definition = this.definition(window);
    if (!definition) return null;
    let found: Update | null = null;
    for (const update of this.windows.of(definition.name)) {
      if (update.total > 0 && (!found || update.window.start > found.window.start)) found = update;
    }
    return found && present() - found.window.end < 3 * definition.length ? found : null;
  }
}
