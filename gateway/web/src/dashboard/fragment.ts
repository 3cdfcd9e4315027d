// What the address says behind `#`: everything that a shared link has to show again.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The gateway answers no longer range. */
export const SPAN_MS_MAX = 31 * DAY;
export const SPAN_MS_MIN = 10_000;

/** Spans of time to choose from, by the name that a link gives them. */
export const SPANS: Record<string, number> = {
  "5m": 5 * MINUTE,
  "15m": 15 * MINUTE,
  "1h": HOUR,
  "6h": 6 * HOUR,
  "24h": DAY,
  "7d": 7 * DAY,
};
export const SPAN_MS_USUAL = 15 * MINUTE;

/** `live`: the last `span` ms, which moves on. Else a stretch that stays, in ms since 1970. */
export type Range = { live: true; span: number } | { live: false; from: number; to: number };

export const SORTS = ["rate", "room", "mood", "users", "watching", "total", "moment"] as const;
export type Sort = (typeof SORTS)[number];

export type View = {
  /** null: all rooms. */
  room: string | null;
  range: Range;
  /** Name of a window definition; null: the usual one. */
  window: string | null;
  /** The only emoji shown; null: the leading ones, and the others as one. */
  emoji: string[] | null;
  sort: Sort;
  /** Lists rooms whose name has this in it. */
  find: string;
};

/** Longest list of emoji that a link may name. */
const EMOJI_MAX = 20;

const START: View = {
  room: null,
  range: { live: true, span: SPAN_MS_USUAL },
  window: null,
  emoji: null,
  sort: "rate",
  find: "",
};

/** A stretch within what the gateway answers; null for one that is none. */
export function stretch(from: number, to: number): { live: false; from: number; to: number } | null {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to - from < SPAN_MS_MIN) return null;
  return { live: false, from: Math.max(from, to - SPAN_MS_MAX), to };
}

export function parse(fragment: string): View {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const room = given.get("room")?.trim() || null;
  const emoji = given.get("emoji")?.split(",").filter(Boolean).slice(0, EMOJI_MAX);
  const sort = SORTS.find((name) => name === given.get("sort")) ?? START.sort;
  return {
    room,
    range: rangeOf(given),
    window: given.get("window") || null,
    emoji: emoji?.length ? emoji : null,
    sort,
    find: given.get("find") ?? "",
  };
}

function rangeOf(given: URLSearchParams): Range {
  const [from, to] = [Number(given.get("from") ?? NaN), Number(given.get("to") ?? NaN)];
  const named = SPANS[given.get("last") ?? ""];
  if (named) return { live: true, span: named };
  const fixed = stretch(Math.round(from), Math.round(to));
  if (!fixed) return START.range;
  return given.get("live") === "1" ? { live: true, span: fixed.to - fixed.from } : fixed;
}

/** The fragment of a view, with `#`. `now` places a live span that has no name. */
export function format(view: View, now: number): string {
  const said = new URLSearchParams();
  if (view.room) {
    said.set("room", view.room);
    if (view.range.live) {
      const { span } = view.range;
      const name = Object.keys(SPANS).find((one) => SPANS[one] === span);
      if (name) said.set("last", name);
      else {
        said.set("from", String(now - span));
        said.set("to", String(now));
      }
      said.set("live", "1");
    } else {
      said.set("from", String(view.range.from));
      said.set("to", String(view.range.to));
    }
    if (view.window) said.set("window", view.window);
    if (view.emoji) said.set("emoji", view.emoji.join(","));
  } else {
    if (view.sort !== START.sort) said.set("sort", view.sort);
    if (view.find) said.set("find", view.find);
  }
  return `#${said}`;
}
