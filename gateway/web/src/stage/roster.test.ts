import { describe, expect, it } from "vitest";
import { EMOJI_MAX, Roster } from "./roster";

const emoji = (at: number): string => String.fromCodePoint(0x1f400 + at);

describe("the roster", () => {
  it("tells who leads, and lets nobody lead by a hair", () => {
    const roster = new Roster();
    roster.add("🔥", 100);
    roster.add("👏", 60);
    expect(roster.leaders(5)).toEqual([
      { emoji: "🔥", share: 100 / 160 },
      { emoji: "👏", share: 60 / 160 },
    ]);
    roster.add("👏", 45);
    expect(roster.leaders(1)[0]?.emoji).toBe("🔥");
    roster.add("👏", 20);
    expect(roster.leaders(1)[0]?.emoji).toBe("👏");
  });

  it("forgets what was long ago", () => {
    const roster = new Roster();
    roster.add("🔥", 1_000);
    roster.age(120_000);
    roster.add("👏", 10);
    expect(roster.leaders(1)[0]?.emoji).toBe("👏");
    roster.age(1e9);
    expect(roster.leaders(5)).toEqual([]);
  });

  it("has a place for so many emoji, and gives up the least that is not on screen", () => {
    const roster = new Roster();
    for (let at = 0; at < EMOJI_MAX; at++) roster.remember(emoji(at), 10 + at);
    roster.flying[0] = 1;
    expect(roster.place("🔥")).toBe(1);
    expect(roster.names[0]).toBe(emoji(0));
    expect(roster.place(emoji(5))).toBe(5);
    expect(new Set(roster.names).size).toBe(EMOJI_MAX);
  });

  it("refuses where all are on screen", () => {
    const roster = new Roster();
    for (let at = 0; at < EMOJI_MAX; at++) roster.add(emoji(at), 1);
    expect(roster.place("🔥")).toBe(-1);
    roster.add("🔥", 5);
    expect(roster.leaders(EMOJI_MAX + 1)).toHaveLength(EMOJI_MAX);
  });
});
