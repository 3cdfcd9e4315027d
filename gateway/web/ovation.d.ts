// Types of /ovation.js. What goes over the wire comes from the gateway's own types: /ovation-api.d.ts

import type { Moment, Problem, Reaction, Snapshot, WindowUpdate } from "./ovation-api.js";

export type * from "./ovation-api.js";

/** How the feed is doing. `denied`: the token is not taken, and no new one helped. `closed`: by `close()`. */
export type State = "connecting" | "live" | "away" | "denied" | "closed";

export interface Options {
  /** The room: 1 to 64 letters, digits, `-`, `_`, `.` or `~`, beginning with a letter or digit. */
  room: string;
  /** Who reacts: at most 64 bytes. A token's own user, where it names one. */
  user?: string;
  /** A token, where the gateway asks for one; or how to get one, called at each connect. */
  token?: string | (() => string | Promise<string>);
  /** Taps of one emoji within this time go as one reaction, in ms; the first after quiet goes at once. 100 if left out. */
  batchMs?: number;
}

/** What each event tells, as `on` passes it on, and as the `detail` of a `CustomEvent`. */
export interface OvationEvents {
  /** The connection has changed. */
  state: State;
  /** The room as it is: at the beginning, and whenever updates were missed. It replaces all that was known. */
  snapshot: Snapshot;
  /** A window's new counts. Of two for one window the higher `revision` is the truth. */
  update: WindowUpdate;
  /** Something has happened: the crowd burst out. Of two with one `id` the higher `revision` is the truth. */
  moment: Moment;
  /** So many taps are not stored yet. */
  waiting: number;
  /** So many updates came faster than they were taken, and have been superseded; finals never are. */
  skipped: number;
  /** A reaction that was given up, or trouble with the feed. */
  error: OvationError;
}

/** A reaction that the broker has acknowledged. */
export interface Stored {
  /** Its id, a UUIDv7. */
  id: string;
  /** Taps in it: this one, and those that were sent with it. */
  count: number;
}

/** A reaction that is not stored yet. */
export interface Waiting extends Reaction {
  id: string;
  count: number;
  /** It is given up then, ms since 1970: a server remembers ids for a minute, and after that it might count twice. */
  until: number;
}

/** Why something failed. `message` is for people. */
export declare class OvationError extends Error {
  constructor(message: string, problem?: Partial<Problem>);
  /** What the gateway said, if it said anything. */
  readonly problem?: Partial<Problem>;
}

/** Follows a room, and sends reactions to it. */
export declare class Ovation extends EventTarget {
  /** @param url the gateway; where this module came from if it is left out */
  constructor(url: string | URL | undefined, options: Options);
  constructor(options: Options);
  /** How the feed is doing. */
  readonly state: State;
  /** The room's counters, once they are known. */
  readonly totals?: Snapshot["room_totals"];
  /** Clients of this gateway that follow the room, once it is known. */
  readonly watching?: number;
  /** Reactions that are not stored yet, at most 64: for a page that keeps them until it is loaded again. */
  readonly waiting: Waiting[];
  /**
   * Sends taps of an emoji, 1 to 100, together with others of the moment. Resolves when they are stored. Rejects with an
   * `OvationError`, which the event `error` tells too, so that nobody has to wait for the promise.
   */
  react(emoji: string, count?: number): Promise<Stored>;
  /**
   * Sends what was `waiting` when the page was left, under the same ids, so that each counts once. What is older than its
   * `until` is given up. One promise each, as of `react`.
   */
  resend(waiting: Waiting[]): Promise<Stored>[];
  /** Calls `listener` with each event's detail; the answer ends that. */
  on<Type extends keyof OvationEvents>(type: Type, listener: (detail: OvationEvents[Type]) => void): () => void;
  addEventListener<Type extends keyof OvationEvents>(
    type: Type,
    listener: (event: CustomEvent<OvationEvents[Type]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Leaves the room. Reactions that are not stored yet are still sent. */
  close(): void;
}

/** A new UUIDv7, for instance for `user`. */
export declare function newId(): string;
