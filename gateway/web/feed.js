// A room's feed: follows it, comes back by itself, and sends reactions.

/** Wait before the nth try to connect, in ms: short at first, then up to this. */
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;
/** A connection that is not made by then is given up. */
const CONNECT_MS_MAX = 8_000;
/** A reaction that is not acknowledged by then goes by HTTP, under the same id. */
const ACK_MS_MAX = 7_000;
/** Tries by HTTP before a reaction is given up. */
const SEND_TRIES_MAX = 4;
/** Reactions on their way at a time. */
const PENDING_MAX = 64;
/** Close codes with which a gateway sends its clients to another one. */
const MOVE_ON = new Set([1001, 1012]);

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A UUIDv7. `crypto.randomUUID` is not there on a page without TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let now = Date.now();
  for (let at = 5; at >= 0; at--) {
    bytes[at] = now % 256;
    now = Math.floor(now / 256);
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Why a reaction was not taken; `message` is for the person who tapped. */
export class NotSent extends Error {}

export class Feed {
  #room;
  #on;
  #socket = null;
  #cursor = null;
  #tries = 0;
  #retry = 0;
  /** Reactions sent on this socket and not answered yet: ref -> how to answer. */
  #waiting = new Map();
  #pending = 0;

  /**
   * @param {string} room
   * @param {{state: (state: "connecting"|"live"|"away") => void, snapshot: (message: object) => void, update: (record: object) => void}} on
   */
  constructor(room, on) {
    this.#room = room;
    this.#on = on;
    addEventListener("online", () => this.#again(0));
    // A page that comes back from the browser's cache has a dead socket.
    addEventListener("pageshow", (event) => event.persisted && this.#again(0));
    this.#connect();
  }

  /** Sends a reaction; resolves when it is stored, rejects with {@link NotSent}. */
  async react(emoji, user) {
    if (this.#pending >= PENDING_MAX) throw new NotSent("That is too fast. Wait a moment.");
    this.#pending += 1;
    const tap = { emoji, user, id: newId() };
    try {
      if (this.#socket?.readyState === WebSocket.OPEN && (await this.#bySocket(tap))) return;
      await this.#byHttp(tap);
    } finally {
      this.#pending -= 1;
    }
  }

  /** True when acknowledged, false when HTTP should try. */
  #bySocket(tap) {
    return new Promise((done, fail) => {
      const ref = tap.id;
      const timer = setTimeout(() => settle(false), ACK_MS_MAX);
      const settle = (taken) => {
        clearTimeout(timer);
        this.#waiting.delete(ref);
        if (taken instanceof Error) fail(taken);
        else done(taken);
      };
      this.#waiting.set(ref, settle);
      this.#socket.send(JSON.stringify({ type: "react", ref, ...tap }));
    });
  }

  async #byHttp(tap) {
    for (let tries = 1; ; tries++) {
      let wait = BACKOFF_MIN_MS * 2 ** tries;
      try {
        const answer = await fetch(`/v1/rooms/${this.#room}/reactions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(tap),
          signal: AbortSignal.timeout(ACK_MS_MAX),
        });
        if (answer.ok) return;
        const problem = await answer.json().catch(() => ({}));
        if (answer.status < 500) throw new NotSent(problem.detail ?? "The reaction was not taken.");
        wait = Math.max(wait, 1000 * Number(answer.headers.get("retry-after") ?? 0));
      } catch (error) {
        if (error instanceof NotSent) throw error;
      }
      if (tries >= SEND_TRIES_MAX) throw new NotSent("Your reaction could not be sent. Is the network there?");
      await pause(wait);
    }
  }

  #connect() {
    this.#on.state(this.#tries > 2 ? "away" : "connecting");
    const url = new URL(`/v1/rooms/${this.#room}/feed`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#cursor) url.searchParams.set("after", this.#cursor);
    const socket = new WebSocket(url);
    this.#socket = socket;
    const timer = setTimeout(() => socket.close(), CONNECT_MS_MAX);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      this.#tries = 0;
      // Without a cursor there is nothing to show, or to resume from, before the snapshot.
      if (this.#cursor) this.#on.state("live");
    });
    socket.addEventListener("message", (event) => this.#hear(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      clearTimeout(timer);
      if (this.#socket !== socket) return;
      this.#socket = null;
      for (const settle of [...this.#waiting.values()]) settle(false);
      const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#tries);
      this.#tries += 1;
      this.#on.state(this.#tries > 2 ? "away" : "connecting");
      // Spread, so that a crowd does not come back in one instant; soonest where there is another gateway.
      this.#again(MOVE_ON.has(event.code) ? Math.random() * most : most * (0.5 + Math.random() / 2));
    });
  }

  /** Connects anew in `ms`, unless connected. */
  #again(ms) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (this.#socket === null || this.#socket.readyState > WebSocket.OPEN) this.#connect();
    }, ms);
  }

  #hear(message) {
    if (message.cursor) this.#cursor = message.cursor;
    switch (message.type) {
      case "snapshot":
        this.#on.state("live");
        this.#on.snapshot(message);
        break;
      case "update":
        this.#on.update(message.update);
        break;
      case "ack":
        this.#waiting.get(message.ref)?.(true);
        break;
      case "error": {
        const settle = this.#waiting.get(message.ref);
        const { status, detail } = message.problem;
        settle?.(status >= 500 ? false : new NotSent(detail ?? "The reaction was not taken."));
        break;
      }
    }
  }
}
