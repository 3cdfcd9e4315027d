import { describe, expect, it } from "vitest";
import { BANNER_MS, Moments, type Moment } from "./moments";
import { readOptions } from "./options";

const moment = (id: string, over: Partial<Moment> = {}): Moment => ({
  id,
  revision: 1,
  end: 100_000,
  lift: 12.3,
  leading: "⚽",
  counts: { "🔥": 10, "⚽": 90 },
  peak: { rate: 1234.4 },
  ...over,
});

/** What shows, step by step, until nothing does. */
function shown(moments: Moments, from = 0): string[] {
  const ids: string[] = [];
  for (let now = from; now < from + 60_000; now += 100) {
    const next = moments.step(now);
    if (next) ids.push(next.id);
  }
  return ids;
}

describe("moments", () => {
  it("show as a banner for a while", () => {
    const moments = new Moments(readOptions(""));
    moments.take(moment("a"), 100_000);
    expect(moments.step(0)).toEqual({
      id: "a",
      emoji: "⚽",
      text: "12× the usual",
      detail: "1,234 reactions a second",
      burst: ["⚽", "🔥"],
    });
    expect(moments.step(BANNER_MS - 1)).toBeNull();
    expect(moments.shown?.id).toBe("a");
    moments.step(BANNER_MS);
    expect(moments.shown).toBeNull();
    expect(shown(moments, BANNER_MS)).toEqual([]);
    expect(moments.busy).toBe(false);
  });

  it("that go on change their banner, and show once", () => {
    const moments = new Moments(readOptions(""));
    moments.take(moment("a"), 100_000);
    moments.step(0);
    moments.take(moment("a", { revision: 3, lift: 20 }), 100_000);
    moments.take(moment("a", { revision: 2, lift: 15 }), 100_000);
    expect(moments.shown?.text).toBe("20× the usual");
    expect(shown(moments, 10)).toEqual([]);
    moments.take(moment("a", { revision: 4 }), 100_000);
    expect(shown(moments, 100_000)).toEqual([]);
  });

  it("wait for one another, the newest few", () => {
    const moments = new Moments(readOptions(""));
    for (const id of ["a", "b", "c", "d", "e"]) moments.take(moment(id), 100_000);
    expect(shown(moments)).toEqual(["c", "d", "e"]);
  });

  it("from before, or long ago, are not shown", () => {
    const moments = new Moments(readOptions(""));
    moments.remember([moment("a"), moment("b")]);
    moments.take(moment("a"), 100_000);
    moments.take(moment("c", { end: 20_000 }), 100_000);
    expect(shown(moments)).toEqual([]);
  });

  it("keep to the filter", () => {
    const moments = new Moments(readOptions("?emoji=🔥"));
    moments.take(moment("a"), 0);
    moments.take(moment("b", { counts: { "⚽": 3 } }), 0);
    expect(moments.step(0)).toMatchObject({ emoji: "🔥", burst: ["🔥"] });
    expect(moments.step(BANNER_MS)).toBeNull();
    expect(moments.busy).toBe(false);
  });

  it("can be off", () => {
    const moments = new Moments(readOptions("?moments=off"));
    moments.take(moment("a"), 0);
    expect(moments.busy).toBe(false);
  });

  it("say what they can where numbers are missing", () => {
    const moments = new Moments(readOptions(""));
    moments.take({ id: "a", revision: 1, end: 0, leading: "⚽", lift: null, peak: null, counts: null }, 0);
    expect(moments.step(0)).toMatchObject({ emoji: "⚽", text: "What a moment", detail: "" });
    moments.take(moment("b", { lift: 2.449 }), 0);
    expect(shown(moments, 100)).toEqual(["b"]);
  });
});
