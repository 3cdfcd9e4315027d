import { expect, test } from "vitest";
import { format, parse, SPAN_MS_MAX, SPAN_MS_USUAL, stretch } from "./fragment";

const NOW = 1_795_426_840_000;

test("an empty address shows all rooms", () => {
  for (const fragment of ["", "#"]) expect(parse(fragment)).toMatchObject({ room: null, emoji: null, window: null, sort: "rate" });
  expect(format(parse(""), NOW)).toBe("#");
});

test.each([
  "#room=final-2026&last=1h&live=1",
  "#room=final-2026&from=1795426840000&to=1795426900000",
  "#room=a.b%7Ec&from=1795426840000&to=1795426900000&window=1m&emoji=%F0%9F%94%A5%2C%E2%9D%A4%EF%B8%8F",
  "#sort=mood&find=break",
])("%s leads to a view and back", (fragment) => expect(format(parse(fragment), NOW)).toBe(fragment));

test("a paused view has absolute times", () => {
  expect(parse("#room=a&from=1000&to=61000").range).toEqual({ live: false, from: 1_000, to: 61_000 });
});

test("a live view is as long as its link says, whenever it is opened", () => {
  expect(parse("#room=a&from=1000&to=61000&live=1").range).toEqual({ live: true, span: 60_000 });
  const odd = { ...parse("#room=a"), range: { live: true as const, span: 77_000 } };
  expect(parse(format(odd, NOW)).range).toEqual(odd.range);
});

test.each(["from=5&to=1", "from=x&to=y", "from=-5&to=100000", "from=1000", "last=2w", ""])("%s is no range, and the usual one is shown", (text) => {
  expect(parse(`#room=a&${text}`).range).toEqual({ live: true, span: SPAN_MS_USUAL });
});

test("no stretch is longer than the gateway answers", () => {
  const range = stretch(0, 10 * SPAN_MS_MAX)!;
  expect(range.to - range.from).toBe(SPAN_MS_MAX);
  expect(stretch(0, 5)).toBeNull();
});

test("unknown words are left alone", () => {
  expect(parse("#room=a&sort=smell&x=y").sort).toBe("rate");
  expect(parse("#room=a&emoji=,,").emoji).toBeNull();
});
