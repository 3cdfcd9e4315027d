import { expect, test } from "vitest";
import { read } from "./kept";

const NOW = 1_000_000;
const good = { room: "lobby", emoji: "🔥", count: 3, id: "a", until: NOW + 10_000 };

test("what a page left is read as it was", () => {
  expect(read(JSON.stringify([good]), NOW)).toEqual([good]);
});

test("what is too old is read, so that somebody is told", () => {
  const old = { ...good, until: NOW - 1 };
  expect(read(JSON.stringify([old]), NOW)).toEqual([old]);
});

test.each([
  null,
  "",
  "{",
  "{}",
  "null",
  JSON.stringify([null, "text", 7, {}]),
  JSON.stringify([{ ...good, count: 1.5 }]),
  JSON.stringify([{ ...good, id: 7 }]),
  // Nobody remembers ids for so long.
  JSON.stringify([{ ...good, until: NOW + 3_600_000 }]),
])("nonsense is nothing: %s", (text) => {
  expect(read(text, NOW)).toEqual([]);
});

test("no more than fits the queue is read", () => {
  const many = Array.from({ length: 500 }, (_, at) => ({ ...good, id: String(at) }));
  expect(read(JSON.stringify(many), NOW)).toHaveLength(64);
});
