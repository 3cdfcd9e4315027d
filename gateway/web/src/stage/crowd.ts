// What the crowd did since the last message: the feed tells whole windows again and again, a stage wants the new taps.

import type { Snapshot, WindowRef, WindowUpdate } from "../../ovation-api.js";

/** Windows of the definition that is read. Only so many are open at a time, whatever the definition. */
const WINDOWS_MAX = 64;
const DEFINITIONS_MAX = 32;
/** A definition that is so far behind another one is not computed any more, in ms. */
const GONE_MS = 60_000;
/** How long the last known mood is shown while there is none, in ms: each window begins without one. */
const MOOD_MS = 20_000;
/** The rate that is shown is that of the last 3 s. */
const BUCKET_MS = 100;
const BUCKETS = 30;
/** The crowd's burst is that of the last half second: a goal is seen at once. */
const BURST_BUCKETS = 5;

const KINDS: WindowRef["kind"][] = ["tumbling", "hopping", "session"];

interface Definition {
  kind: WindowRef["kind"];
  /** ms; of a session the longest that was seen. */
  length: number;
  /** End of its newest window. */
  end: number;
}

interface Known {
  end: number;
  epoch: number;
  revision: number;
  counts: Record<string, number>;
}

/** Where new taps go. */
export interface Taps {
  add(emoji: string, taps: number): void;
  remember(emoji: string, taps: number): void;
}

export class Crowd {
  /** Taps of the room since it is. */
  total = 0;
  /** Time of the crowd: the end of the newest window, ms since 1970. */
  time = 0;
  readonly #taps: Taps;
  readonly #definitions = new Map<string, Definition>();
  readonly #windows = new Map<number, Known>();
  /** Name of the definition whose windows tell the taps. */
  #told = "";
  /** Start of its newest window. */
  #newest = 0;
  #epoch = 0;
  /** Taps of the room that no window has told yet. */
  #untold = 0;
  /** Windows that end before are forgotten. */
  #forgotten = 0;
  readonly #buckets = new Float64Array(BUCKETS);
  #bucket = 0;
  #score: number | null = null;
  #scoreAt = 0;

  constructor(taps: Taps) {
    this.#taps = taps;
  }

  /** Everything anew. Its taps were before: nothing rises. */
  snapshot(snapshot: Snapshot, now: number): void {
    this.#definitions.clear();
    this.#forget();
    this.total = snapshot.room_totals.reactions;
    this.#untold = 0;
    this.#epoch = Math.max(0, ...snapshot.windows.map(({ epoch }) => epoch));
    for (const update of snapshot.windows) this.#define(update.window);
    for (const update of snapshot.windows) this.#take(update, now, false);
    const newest = this.#windows.get(this.#newest);
    for (const [emoji, count] of Object.entries(newest?.counts ?? {})) this.#taps.remember(emoji, count);
  }

  /** True if it told new taps. */
  update(update: WindowUpdate, now: number): boolean {
    // A newer epoch counts anew. Otherwise an older result, which comes after a newer one, changes nothing.
    const { reactions } = update.room_totals;
    const total = update.epoch > this.#epoch ? reactions : Math.max(this.total, reactions);
    this.#epoch = Math.max(this.#epoch, update.epoch);
    this.#untold += Math.max(0, total - this.total);
    this.total = total;
    const before = this.#told;
    this.#define(update.window);
    // Another definition tells from now on; what its window holds has been told by the former.
    return this.#take(update, now, before === "" || before === this.#told);
  }

  /** Taps per second over the last seconds. */
  rate(now: number): number {
    return this.#over(BUCKETS, now);
  }

  /** Taps per second of this very moment. */
  burst(now: number): number {
    return this.#over(BURST_BUCKETS, now);
  }

  /** -1 to 1; null where nobody judges it, or nothing of late. */
  mood(now: number): number | null {
    return now - this.#scoreAt < MOOD_MS ? this.#score : null;
  }

  /** Whether everything that time changes has come to rest. */
  atRest(now: number): boolean {
    return this.rate(now) === 0 && this.mood(now) === null;
  }

  #over(buckets: number, now: number): number {
    this.#turn(now);
    let sum = 0;
    for (let back = 0; back < buckets; back++) sum += this.#buckets[(this.#bucket - back + BUCKETS) % BUCKETS]!;
    return (sum * 1000) / (buckets * BUCKET_MS);
  }

  #forget(): void {
    this.#windows.clear();
    this.#told = "";
    this.#newest = 0;
    this.#forgotten = 0;
  }

  /** Chooses the definition that tells the taps: tumbling windows hold each tap once, and short ones tell it soonest. */
  #define({ name, kind, start, end }: WindowRef): void {
    this.time = Math.max(this.time, end);
    const known = this.#definitions.get(name);
    if (known) {
      known.end = Math.max(known.end, end);
      known.length = Math.max(known.length, end - start);
    } else if (this.#definitions.size < DEFINITIONS_MAX) {
      this.#definitions.set(name, { kind, length: end - start, end });
    }
    if (name === this.#told) return;
    const told = this.#definitions.get(this.#told);
    const other = this.#definitions.get(name);
    if (!other || (told && told.end > start - GONE_MS && !better(other, told))) return;
    this.#forget();
    this.#told = name;
  }

  #take(update: WindowUpdate, now: number, tell: boolean): boolean {
    const { window, epoch, revision, counts } = update;
    if (window.name !== this.#told || window.end <= this.#forgotten) return false;
    const known = this.#windows.get(window.start);
    if (known && (known.epoch > epoch || (known.epoch === epoch && known.revision >= revision))) return false;
    if (update.retracted) {
      this.#windows.delete(window.start);
      return false;
    }
    this.#newest = Math.max(this.#newest, window.start);
    const before = known?.epoch === epoch ? known.counts : undefined;
    let more = 0;
    for (const emoji in counts) more += Math.max(0, counts[emoji]! - (before?.[emoji] ?? 0));
    // Windows that overlap hold a tap several times: the newest alone tells it, and no more than the room has had.
    const alone = window.kind === "tumbling";
    const part = !tell ? 0 : alone ? 1 : window.start === this.#newest ? Math.min(1, this.#untold / more) : 0;
    if (more > 0 && part > 0) {
      for (const emoji in counts) {
        const taps = counts[emoji]! - (before?.[emoji] ?? 0);
        if (taps > 0) this.#taps.add(emoji, taps * part);
      }
      more *= part;
      this.#untold = Math.max(0, this.#untold - more);
      this.#turn(now);
      this.#buckets[this.#bucket % BUCKETS]! += more;
    }
    if (window.start === this.#newest) this.#judge(update.sentiment, now);
    this.#windows.set(window.start, { end: window.end, epoch, revision, counts });
    while (this.#windows.size > WINDOWS_MAX) this.#evict();
    return more > 0 && part > 0;
  }

  #judge(sentiment: unknown, now: number): void {
    const score = (sentiment as { score?: unknown } | null | undefined)?.score;
    if (typeof score !== "number" || !Number.isFinite(score)) return;
    this.#score = Math.min(1, Math.max(-1, score));
    this.#scoreAt = now;
  }

  #evict(): void {
    let oldest = Infinity;
    for (const start of this.#windows.keys()) oldest = Math.min(oldest, start);
    this.#forgotten = Math.max(this.#forgotten, this.#windows.get(oldest)?.end ?? 0);
    this.#windows.delete(oldest);
  }

  /** Empties the buckets of the time that has gone by. */
  #turn(now: number): void {
    const bucket = Math.floor(now / BUCKET_MS);
    const passed = Math.min(BUCKETS, bucket - this.#bucket);
    for (let step = 1; step <= passed; step++) this.#buckets[(bucket - passed + step) % BUCKETS] = 0;
    this.#bucket = Math.max(this.#bucket, bucket);
  }
}

function better(one: Definition, other: Definition): boolean {
  const [kind, otherKind] = [KINDS.indexOf(one.kind), KINDS.indexOf(other.kind)];
  return kind < otherKind || (kind === otherKind && one.length < other.length);
}
