// What the page says of the crowd, in words.

import type { Moment, State, WindowUpdate } from "../../ovation.js";

const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });

export const format = (count: number) => number.format(count);

export const STATES: Record<State, string> = {
  connecting: "Connecting",
  live: "Live",
  away: "Offline, trying again",
  denied: "You may not watch this room: its link has no token, or one that has run out",
  closed: "Left",
};

const plural = (count: number, one: string, many: string) => `${format(count)} ${count === 1 ? one : many}`;

export const reactionsOf = (total: number) => (total === 1 ? "reaction" : "reactions");

/** Who reacts: "You and 12,345 others". */
export function people(now: WindowUpdate, mine: boolean): string | null {
  const users = now.users;
  if (users === null || users === undefined) return null;
  const others = Math.max(0, Math.round(users) - 1);
  if (mine) return others ? `You and ${plural(others, "other", "others")}` : "You";
  return users ? `${plural(Math.round(users), "person", "people")} reacting` : null;
}

/** The window in a sentence. */
export function sentence(now: WindowUpdate | null, total: number, mine: boolean, open = true): string {
  if (!now && total) return "Quiet at the moment.";
  if (!now) return open ? "Nobody has reacted yet. Be the first." : "Nobody has reacted yet.";
  const seconds = format(Math.round((now.window.end - now.window.start) / 1000));
  const taps = format(now.total);
  if (now.final) return `Quiet at the moment. Last: ${taps} in ${seconds} s`;
  const who = people(now, mine);
  return who ? `${who} · ${taps} in these ${seconds} s` : `${taps} in these ${seconds} s`;
}

/** From which score on a mood is called so, best first. */
const MOODS: readonly (readonly [from: number, emoji: string, name: string])[] = [
  [0.5, "🤩", "thrilled"],
  [0.2, "😊", "happy"],
  [-0.1, "😐", "mixed"],
  [-0.4, "😕", "uneasy"],
  [-1, "😟", "upset"],
];

export interface Mood {
  emoji: string;
  name: string;
  /** From -1 to 1. */
  score: number;
}

export function moodOf(now: WindowUpdate | null): Mood | null {
  const { score } = (now?.sentiment ?? {}) as { score?: number | null };
  if (typeof score !== "number") return null;
  const [, emoji, name] = MOODS.find(([from]) => score >= from) ?? [-1, "😟", "upset"];
  return { emoji, name, score };
}

/** A moment in a few words. */
export function momentText({ total, lift }: Moment): string {
  const louder = lift >= 2 ? `, ${short.format(lift)}× the usual` : "";
  return `${plural(total, "reaction", "reactions")}${louder}`;
}
