// Reads a feed of the gateway for as long as the page is open: connects again by itself, and goes on after the last cursor.

import type { FeedMessage } from "../../ovation-api.js";

const CONNECT_MS_MAX = 8_000;
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 15_000;
/** A token that is not taken now may be later: keys change, and rooms open. */
const DENIED_MS = 60_000;
/** A connection that died unseen says nothing, as a quiet room does: after so long it is made anew, and nothing is missed. */
const SILENCE_MS_MAX = 120_000;
/** Close codes: go to another gateway; the token is not taken, or not for this room. */
const MOVE_ON = [1001, 1012];
const DENIED = [4401, 4403];

export type FeedState = "connecting" | "live" | "away" | "denied";

export interface FeedOptions<Message> {
  /** Where, for instance `/v1/rooms/lobby/feed`; it may have a query. */
  path: string;
  /** Query parameters of the feed: `every`, `fields`, `emit`, `rooms`. */
  query?: Record<string, string>;
  token?: string | undefined;
  /** Whether it is live before anything has come: of all rooms nothing comes while there are none. */
  liveWhenOpen?: boolean;
  /** Each message, in order. It must not throw. */
  hear: (message: Message) => void;
  /** The connection has changed; `reason` is what the gateway said when it did not take the token. */
  tell?: (state: FeedState, reason: string) => void;
}

/** What the feed's `fields` leave out is not in its messages: who asks for some says what they are. */
export class Feed<Message extends { type: string } = FeedMessage> {
  readonly #options: FeedOptions<Message>;
  readonly #off = new AbortController();
  #state: FeedState | undefined;
  #socket: WebSocket | undefined;
  #cursor: string | undefined;
  /** Connections since one has brought something. */
  #tries = 0;
  /** The next try, or the end of a silence. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the last message came, on the clock of `performance`. */
  #heardAt = 0;

  constructor(options: FeedOptions<Message>) {
    this.#options = options;
    const { signal } = this.#off;
    // The old connection is gone, whether it knows or not.
    addEventListener("online", () => this.#again(Math.random() * BACKOFF_MS_MIN), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#again(0), { signal });
    this.#connect();
  }

  close(): void {
    this.#off.abort();
    clearTimeout(this.#timer);
    this.#leave();
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    // Closed while it is being made, a browser would complain.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  #tell(state: FeedState, reason = ""): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.tell?.(state, reason);
  }

  #connect(): void {
    const { path, query, token } = this.#options;
    const url = new URL(path, location.origin);
    url.protocol = url.protocol.replace("http", "ws");
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    if (this.#cursor) url.searchParams.set("after", this.#cursor);
    const socket = new WebSocket(url, token ? ["ovation.v1", `ovation.token.${token}`] : []);
    this.#socket = socket;
    this.#tell(this.#tries > 2 ? "away" : this.#state === "denied" ? "denied" : "connecting");
    this.#wait(CONNECT_MS_MAX, () => this.#lose(socket));
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      // Without a cursor there is nothing to go on from before the snapshot.
      if ((this.#options.liveWhenOpen || this.#cursor) && this.#state !== "denied") this.#tell("live");
      this.#listen(socket, SILENCE_MS_MAX);
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#hear(socket, data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      if (DENIED.includes(code)) {
        this.#tell("denied", reason);
        this.#again(DENIED_MS);
      } else this.#lose(socket, MOVE_ON.includes(code) ? Math.random() * BACKOFF_MS_MIN : undefined);
    };
  }

  /** One timer for a whole silence, not one for each message. */
  #listen(socket: WebSocket, ms: number): void {
    this.#wait(ms, () => {
      const left = this.#heardAt + SILENCE_MS_MAX - performance.now();
      if (left > 0) this.#listen(socket, left);
      else this.#again(0);
    });
  }

  #hear(socket: WebSocket, data: unknown): void {
    let message: Message & { cursor?: string };
    try {
      message = JSON.parse(String(data)) as Message & { cursor?: string };
      if (typeof message?.type !== "string") throw new TypeError("no message of a feed");
    } catch {
      this.#lose(socket);
      return;
    }
    this.#heardAt = performance.now();
    if (message.cursor) {
      this.#cursor = message.cursor;
      this.#tries = 0;
      this.#tell("live");
    }
    this.#options.hear(message);
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  /** The connection is lost. Spread, so that a crowd does not come back in one instant. */
  #lose(
    socket: WebSocket,
    ms = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#tries) * (0.5 + Math.random() / 2),
  ): void {
    if (socket !== this.#socket) return;
    this.#tries = Math.min(this.#tries + 1, 16);
    if (this.#state !== "denied") this.#tell(this.#tries > 2 ? "away" : "connecting");
    this.#again(ms);
  }

  #again(ms: number): void {
    this.#leave();
    this.#wait(ms, () => this.#connect());
  }
}
