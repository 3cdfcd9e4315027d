// Ovation in the browser: reactions to a room, and its crowd. See /docs and /ovation.d.ts

const BATCH_MS = 100;
/** Taps in a reaction. */
const COUNT_MAX = 100;
/** Reactions not stored yet. */
const QUEUE_MAX = 64;
/** Less than a server remembers an id. */
const GIVE_UP_MS = 45_000;
const ANSWER_MS_MAX = 7_000;
const CONNECT_MS_MAX = 8_000;
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 15_000;
/** Close codes: go to another gateway; the token is not taken, or not for this room. */
const MOVE_ON = [1001, 1012];
const DENIED = [4401, 4403];
const GIVEN_UP = "Your reaction could not be sent. Is the network there?";

const now = () => Date.now();
/** Spread, so that a crowd does not come back in one instant. */
const backoff = (tries) => Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** tries) * (0.5 + Math.random() / 2);

/** A UUIDv7. `crypto.randomUUID` is not there on a page without TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  bytes[0] = 0x70 | (bytes[0] & 0x0f);
  bytes[2] = 0x80 | (bytes[2] & 0x3f);
  const hex = (number, digits) => number.toString(16).padStart(digits, "0");
  const text = hex(now(), 12) + Array.from(bytes, (byte) => hex(byte, 2)).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** `message` is for people, `problem` is the server's. */
export class OvationError extends Error {
  constructor(message, problem) {
    super(message);
    this.problem = problem;
  }
}

export class Ovation extends EventTarget {
  state;
  totals;
  watching;
  #options;
  #base;
  #bearer;
  #socket;
  #since;
  #cursor;
  #tries = 0;
  #retry;
  /** Tells a late token that it is not waited for any more. */
  #turn = 0;
  /** A new token was asked for, and nothing has come with it yet. */
  #renewed;
  /** id -> reaction on its way. */
  #queue = new Map();
  /** emoji -> reaction that takes more taps. */
  #open = new Map();
  #timer;
  #posting;
  /** Nothing is sent before; `#told` if the server wants that. */
  #pause = 0;
  #told;
  #off = new AbortController();

  constructor(url, options = url) {
    super();
    const base = url && url !== options ? new URL(url, location) : new URL(".", import.meta.url);
    this.#base = base.href.replace(/\/*$/, "/v1/");
    this.#options = options;
    const on = (type, listener) => addEventListener(type, listener, { signal: this.#off.signal });
    // The old connection is gone, whether it knows or not.
    on("online", () => this.#drop(this.#socket, Math.random() * BACKOFF_MS_MIN));
    on("pageshow", (event) => event.persisted && this.#drop(this.#socket, 0));
    on("pagehide", () => this.#leave());
    this.#connect();
  }

  on(type, listener) {
    const hear = (event) => listener(event.detail);
    this.addEventListener(type, hear);
    return () => this.removeEventListener(type, hear);
  }

  react(emoji, count = 1) {
    const good = count >= 1 && count <= COUNT_MAX && count % 1 === 0;
    let way = this.#open.get(emoji);
    if (!way || !good || way.item.count + count > COUNT_MAX) {
      const { room, user } = this.#options;
      way = this.#take({ room, emoji, count: 0, user, id: newId() }, now() + GIVE_UP_MS, good);
      if (!way.failed) this.#open.set(emoji, way);
    }
    way.item.count += count;
    this.#count();
    if (!this.#timer) this.#pump();
    return way.promise;
  }

  get waiting() {
    return Array.from(this.#queue.values(), ({ item, until }) => ({ ...item, until }));
  }

  resend(waiting) {
    const ways = waiting.map(({ until, ...item }) => this.#take(item, until, until > now()));
    this.#count();
    this.#pump();
    return ways.map((way) => way.promise);
  }

  close() {
    this.#leave();
    this.#say("closed");
    this.#off.abort();
    this.#turn++;
    this.#drop(this.#socket);
  }

  #take(item, until, good) {
    const way = { item, until, tries: 0 };
    way.promise = new Promise((done, fail) => Object.assign(way, { done, fail }));
    // Who does not wait for the answer hears of `error`.
    way.promise.catch(() => {});
    if (!good) this.#fail(way, item.count ? GIVEN_UP : `A reaction has 1 to ${COUNT_MAX} taps.`);
    else if (this.state === "closed") this.#fail(way, "The room is left.");
    else if (this.#queue.size >= QUEUE_MAX) this.#fail(way, "That is too fast. Wait a moment.");
    else this.#queue.set(item.id, way);
    return way;
  }

  /** Tells how many taps are not stored yet. */
  #count() {
    this.#tell("waiting", this.waiting.reduce((taps, { count }) => taps + count, 0));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #say(state) {
    if (state === this.state) return;
    this.state = state;
    this.#tell("state", state);
  }

  #wait(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pump(), Math.max(ms, this.#pause - now()));
  }

  /** Sends what waits, again and again until nothing does. */
  #pump() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const due = [...this.#queue.values()].filter((way) => !way.busy);
    const socket = this.#socket?.readyState === 1 && this.#socket;
    if (!due.length || (!socket && this.#posting)) return;
    this.#open.clear();
    this.#told = 0;
    for (const way of due) {
      way.busy = true;
      if (!socket) continue;
      const { room, ...reaction } = way.item;
      socket.send(JSON.stringify({ type: "react", ref: reaction.id, ...reaction }));
      way.timer = setTimeout(() => this.#drop(socket, 0), ANSWER_MS_MAX);
    }
    if (!socket) this.#post(due);
    this.#wait(this.#options.batchMs ?? BATCH_MS);
  }

  async #post(due) {
    this.#posting = true;
    try {
      this.#bearer ??= await this.#ask();
      const answer = await fetch(...this.#request(due, { signal: AbortSignal.timeout(ANSWER_MS_MAX) }));
      const { status, ok, headers } = answer;
      const body = await answer.json().catch(() => ({}));
      const whole = { retry_after: headers.get("retry-after"), ...body, status };
      // A 200 without the list is no answer of ours.
      const rejected = ok ? body.rejected : body.rejected ?? [];
      due.forEach((way, at) => {
        const problem = rejected.find(({ index }) => index === at) ?? (!ok && whole);
        if (problem) this.#refuse(way, problem);
        else this.#store(way);
      });
    } catch {
      for (const way of due) this.#refuse(way);
    }
    this.#posting = false;
    if (!this.#timer) this.#pump();
  }

  #request(ways, options) {
    const headers = { "content-type": "application/json" };
    if (this.#bearer) headers.authorization = `Bearer ${this.#bearer}`;
    const body = JSON.stringify(ways.map((way) => way.item));
    return [this.#base + "reactions", { method: "POST", headers, body, ...options }];
  }

  #renews() {
    return typeof this.#options.token === "function";
  }

  #ask() {
    const { token } = this.#options;
    return this.#renews() ? token() : token;
  }

  #store(way) {
    const { id, count } = way.item;
    this.#settle(way);
    way.done({ id, count });
  }

  #settle(way) {
    clearTimeout(way.timer);
    this.#queue.delete(way.item.id);
    this.#count();
  }

  /** Tries again later, unless the problem stays or the time is over. */
  #refuse(way, problem) {
    const { status = 503, retry_after, detail, title } = problem ?? {};
    if (!this.#queue.has(way.item.id)) return;
    this.#free(way);
    const renew = status === 401 && this.#renews() && !way.renewed;
    if (renew) {
      way.renewed = true;
      this.#bearer = undefined;
    }
    const told = 1000 * retry_after || 0;
    const next = now() + Math.max(told, backoff(way.tries++));
    if (next < way.until && (renew || status === 408 || status === 429 || status >= 500)) {
      this.#told ||= told;
      this.#pause = Math.max(this.#pause, next);
      this.#wait(0);
    } else this.#fail(way, detail ?? title ?? GIVEN_UP, problem);
  }

  #free(way) {
    clearTimeout(way.timer);
    way.busy = way.timer = 0;
  }

  #fail(way, why, problem) {
    const error = (way.failed = new OvationError(why, problem));
    this.#settle(way);
    way.fail(error);
    this.#tell("error", error);
  }

  /** The page goes: what is not known to be stored is sent once more, under its id. */
  #leave() {
    const ways = [...this.#queue.values()];
    if (!ways.length) return;
    const [url, request] = this.#request(ways, { keepalive: true });
    // A beacon bears no token; as text it needs no leave of another origin.
    if (this.#bearer) fetch(url, request).catch(() => {});
    else navigator.sendBeacon?.(url, new Blob([request.body], { type: "text/plain" }));
  }

  async #connect() {
    const turn = ++this.#turn;
    this.#say(this.#tries > 2 ? "away" : "connecting");
    this.#since = 0;
    try {
      const bearer = await this.#ask();
      if (turn !== this.#turn) return;
      this.#bearer = bearer;
      const url = new URL(`rooms/${encodeURIComponent(this.#options.room)}/feed`, this.#base);
      url.protocol = url.protocol.replace("http", "ws");
      if (this.#cursor) url.searchParams.set("after", this.#cursor);
      this.#follow(new WebSocket(url, bearer ? ["ovation.v1", "ovation.token." + bearer] : []));
    } catch (error) {
      this.#tell("error", error);
      this.#drop();
    }
  }

  #follow(socket) {
    this.#socket = socket;
    const timer = setTimeout(() => this.#drop(socket), CONNECT_MS_MAX);
    socket.onopen = () => {
      clearTimeout(timer);
      this.#since = now();
      // Without a cursor there is nothing to show, or to resume from, before the snapshot.
      if (this.#cursor) this.#say("live");
      if (!this.#told) this.#pause = 0;
      this.#wait(0);
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      clearTimeout(timer);
      if (socket !== this.#socket) return;
      if (this.#since && now() - this.#since > CONNECT_MS_MAX) this.#proven();
      if (DENIED.includes(code)) {
        if (this.#renewed || !this.#renews()) {
          this.#say("denied");
          this.#tell("error", new OvationError(reason || "The token is not taken."));
        }
        this.#renewed = true;
      }
      this.#drop(socket, MOVE_ON.includes(code) ? Math.random() * BACKOFF_MS_MIN : undefined);
    };
  }

  /** Connects anew; what was not answered goes by HTTP. */
  #drop(socket, ms = backoff(this.#tries)) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    socket?.close();
    for (const way of this.#queue.values()) if (way.timer) this.#free(way);
    this.#wait(0);
    clearTimeout(this.#retry);
    if (this.state === "closed" || this.state === "denied") return;
    this.#say(++this.#tries > 2 ? "away" : "connecting");
    this.#retry = setTimeout(() => this.#connect(), ms);
  }

  /** The connection, and its token, are good. */
  #proven() {
    this.#tries = this.#renewed = 0;
  }

  #hear(message) {
    const { type, ref, cursor, problem } = message;
    const way = this.#queue.get(ref);
    if (cursor) {
      this.#cursor = cursor;
      this.#proven();
      this.totals = (message.update ?? message).room_totals ?? this.totals;
      this.watching = message.watching ?? this.watching;
    }
    if (type === "snapshot") {
      this.#say("live");
      this.#tell(type, message);
    } else if (type === "update" || type === "moment") this.#tell(type, message[type]);
    else if (type === "skipped") this.#tell(type, message.count);
    else if (type === "ack" && way) this.#store(way);
    else if (type === "error" && way) this.#refuse(way, problem);
    // That a token is not taken is told when the socket closes, if no new one helps.
    else if (type === "error" && problem.status !== 401) this.#tell(type, new OvationError(problem.detail ?? problem.title, problem));
  }
}
