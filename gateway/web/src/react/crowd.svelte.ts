// What a page knows of its room, and of its own part in it.

import { Ovation, type Options, type State } from "../../ovation.js";
import type { Moment, OvationError, Snapshot, WindowUpdate } from "../../ovation.js";
import { Kept } from "./kept";
import { Windows } from "./windows";

/** A moment whose last window ended so long before is not news. */
const NEWS_MS_MAX = 30_000;
/** Moments known by their id, so that each is told once. */
const MOMENTS_MAX = 64;
/** An own tap is looked for in the updates that come within this time. */
const OWN_MS_MAX = 10_000;
/** How often a closed room is asked whether it is open again; spread, so that a crowd does not ask in one instant. */
const CLOSED_MS = 10_000;
/** Emoji that a page keeps its own taps of. */
const OWN_MAX = 64;

const CLOSED = "urn:ovation:problem:reactions-closed";
const NOT_ALLOWED = "urn:ovation:problem:emoji-not-allowed";

export interface Listeners {
  /** So many taps more than known before, by emoji, own ones left out: they have risen already. */
  tapped?: (counts: ReadonlyMap<string, number>) => void;
  /** An own reaction is stored. */
  stored?: (reaction: { id: string; emoji: string; count: number }) => void;
  /** Something that a person should read. */
  notice?: (text: string) => void;
  state?: (state: State) => void;
}

export class Crowd {
  state = $state<State>("connecting");
  /** Taps in the room, ever. */
  total = $state(0);
  watching = $state<number | undefined>();
  /** The newest window. */
  now = $state.raw<WindowUpdate | null>(null);
  /** Whether there is an own tap in it. */
  mine = $state(false);
  open = $state(true);
  /** The only emoji that the room takes. */
  allowed = $state.raw<readonly string[] | null>(null);
  /** The last moment that was news. */
  moment = $state.raw<Moment | null>(null);
  /** Taps that are not stored yet. */
  waiting = $state(0);
  /** Whether anything is known yet. */
  known = $state(false);

  readonly #room: string;
  readonly #base: URL;
  readonly #token: string | undefined;
  readonly #ovation: Ovation;
  readonly #kept: Kept;
  readonly #listeners: Listeners;
  readonly #windows = new Windows();
  /** Own taps that no update has told yet: emoji -> how many, and since when. */
  readonly #own = new Map<string, { count: number; at: number }>();
  readonly #moments = new Map<string, number>();
  /** Taps given up since the last notice. */
  #lost = 0;
  #mineStart: number | undefined;
  #asking: ReturnType<typeof setTimeout> | undefined;

  constructor(base: URL, options: Options & { token?: string | undefined }, listeners: Listeners) {
    this.#room = options.room;
    this.#base = base;
    this.#token = options.token;
    this.#listeners = listeners;
    this.#ovation = new Ovation(base, options);
    this.#ovation.on("state", (state) => this.#say(state));
    this.#ovation.on("snapshot", (snapshot) => this.#begin(snapshot));
    this.#ovation.on("update", (update) => this.#update(update));
    this.#ovation.on("moment", (moment) => this.#tell(moment));
    this.#ovation.on("waiting", (taps) => {
      this.waiting = taps;
      this.#kept.changed();
    });
    this.#kept = new Kept(`${base.host} ${options.room}`, () => this.#ovation.waiting, (found) => this.#resend(found));
    this.#say(this.#ovation.state);
  }

  react(emoji: string, count: number): void {
    this.#expect(emoji, count);
    this.#ovation.react(emoji, count).then(
      ({ id }) => this.#listeners.stored?.({ id, emoji, count }),
      (error: OvationError) => {
        this.#expect(emoji, -count);
        this.#fail(emoji, count, error);
      },
    );
  }

  close(): void {
    clearTimeout(this.#asking);
    this.#ovation.close();
    this.#kept.close();
  }

  #resend(found: Parameters<Ovation["resend"]>[0]): void {
    this.#ovation.resend(found).forEach((promise, at) => {
      const { emoji, count } = found[at] ?? { emoji: "", count: 0 };
      promise.then(
        ({ id }) => this.#listeners.stored?.({ id, emoji, count }),
        (error: OvationError) => this.#fail(emoji, count, error),
      );
    });
  }

  #say(state: State): void {
    this.state = state;
    this.#listeners.state?.(state);
  }

  #fail(emoji: string, count: number, { message, problem }: OvationError): void {
    // The page says in its own place that the room is closed.
    if (problem?.type === CLOSED) return this.#rules({ open: false });
    if (problem?.type === NOT_ALLOWED) void this.#ask();
    if (problem) return this.#listeners.notice?.(`${emoji} ${message}`);
    // Taps that are given up together are told together.
    if (!this.#lost) {
      queueMicrotask(() => {
        const taps = this.#lost === 1 ? "1 tap was" : `${this.#lost} taps were`;
        this.#lost = 0;
        this.#listeners.notice?.(`${taps} not counted: ${message}`);
      });
    }
    this.#lost += count;
  }

  #begin(snapshot: Snapshot): void {
    this.#windows.clear();
    for (const record of snapshot.windows) this.#windows.keep(record);
    for (const { id, revision } of snapshot.moments ?? []) this.#moments.set(id, revision);
    this.#rules(snapshot);
    this.known = true;
    this.#show();
  }

  #update(record: WindowUpdate): void {
    const more = this.#windows.keep(record);
    if (more) {
      const now = Date.now();
      for (const [emoji, count] of more) {
        const own = this.#own.get(emoji);
        if (!own) continue;
        const found = now - own.at < OWN_MS_MAX ? Math.min(own.count, count) : 0;
        if (found) this.#mineStart = record.window.start;
        own.count -= found;
        if (!found || !own.count) this.#own.delete(emoji);
        if (count > found) more.set(emoji, count - found);
        else more.delete(emoji);
      }
      if (more.size) this.#listeners.tapped?.(more);
    }
    this.#show();
  }

  #show(): void {
    this.now = this.#windows.newest();
    this.mine = this.now !== null && this.now.window.start === this.#mineStart;
    this.total = this.#ovation.totals?.reactions ?? 0;
    this.watching = this.#ovation.watching;
  }

  /** Own taps that updates will tell. */
  #expect(emoji: string, count: number): void {
    const { count: before } = this.#own.get(emoji) ?? { count: 0 };
    if (before + count <= 0) this.#own.delete(emoji);
    else if (before || this.#own.size < OWN_MAX) this.#own.set(emoji, { count: before + count, at: Date.now() });
  }

  #tell(moment: Moment): void {
    const known = this.#moments.get(moment.id);
    if (known !== undefined && known >= moment.revision) return;
    this.#moments.set(moment.id, moment.revision);
    for (const id of this.#moments.keys()) {
      if (this.#moments.size <= MOMENTS_MAX) break;
      this.#moments.delete(id);
    }
    const later = this.now ? this.now.window.end - moment.end : 0;
    if ((known === undefined && later < NEWS_MS_MAX) || this.moment?.id === moment.id) this.moment = moment;
  }

  #rules({ open, emoji }: { open?: boolean | undefined; emoji?: string[] | null | undefined }): void {
    if (open !== undefined) this.open = open;
    if (emoji !== undefined) this.allowed = emoji;
    clearTimeout(this.#asking);
    if (!this.open) this.#asking = setTimeout(() => this.#ask(), CLOSED_MS * (0.75 + Math.random() / 2));
  }

  /** What does the room take now? The feed tells it only when it begins. */
  async #ask(): Promise<void> {
    try {
      const headers: HeadersInit = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
      const answer = await fetch(new URL(`v1/rooms/${encodeURIComponent(this.#room)}`, this.#base), { headers });
      if (!answer.ok) return this.#rules({});
      // A gateway that does not say it is asked by the next tap.
      const { open = true, emoji } = (await answer.json()) as Snapshot;
      this.#rules({ open, emoji });
    } catch {
      this.#rules({});
    }
  }
}
