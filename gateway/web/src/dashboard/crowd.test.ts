import { expect, test } from "vitest";
import { Moments } from "./moments";
import { original } from "./pipeline/letters";
import { unfold } from "./picture";
import type { Moment, Update } from "./records";
import { Crowd, ROOMS_MAX, sorted } from "./rooms/crowd";
import { withoutToken } from "../lib/session";

const NOW = 1_000_000;

function update(room: string, start: number, total: number): Update {
  const window = { name: "10s", kind: "tumbling" as const, start, end: start + 10_000 };
  const room_totals = { reactions: total, late: 0, duplicates: 0, rejected: 0 };
  return { room, epoch: 1, revision: 1, final: false, window, total, counts: { "🔥": total }, room_totals };
}

const moment = (id: string, revision: number, start: number) => ({ room: "a", id, revision, start, end: start + 10_000 }) as Moment;

test("rooms are in the order that is asked for, and found by a part of their name", () => {
  const crowd = new Crowd();
  crowd.update(update("quiet", NOW, 1), 9);
  crowd.update(update("loud", NOW, 50), 2);
  crowd.update(update("louder", NOW - 600_000, 500), 1);
  const names = (sort: Parameters<typeof sorted>[1], find = "") => sorted(crowd.rows.values(), sort, find, NOW).map(({ room }) => room);
  expect(names("rate")).toEqual(["loud", "quiet", "louder"]);
  expect(names("total")).toEqual(["louder", "loud", "quiet"]);
  expect(names("watching")).toEqual(["quiet", "loud", "louder"]);
  expect(names("room", " LOUD ")).toEqual(["loud", "louder"]);
});

test("however many rooms there are, a bounded number is kept: those that were heard of last", () => {
  const crowd = new Crowd();
  for (let at = 0; at < ROOMS_MAX + 500; at++) crowd.update(update(`room-${at}`, NOW, 1), undefined);
  expect(crowd.rows.size).toBeLessThanOrEqual(ROOMS_MAX);
  expect(crowd.rows.has(`room-${ROOMS_MAX + 499}`)).toBe(true);
  expect(crowd.rows.has("room-0")).toBe(false);
  expect(crowd.dropped + crowd.rows.size).toBe(ROOMS_MAX + 500);
});

test("a sparkline has a value for each of the last windows", () => {
  const crowd = new Crowd();
  crowd.update(update("a", NOW - 10_000, 7), undefined);
  crowd.update(update("a", NOW, 3), undefined);
  const spark = crowd.rows.get("a")!.spark(NOW + 1);
  expect(spark).toHaveLength(30);
  expect(spark.slice(-3)).toEqual([0, 7, 3]);
});

test("of a moment the highest revision is the truth, though earlier ones come again", () => {
  const moments = new Moments();
  for (const [revision, start] of [[1, 0], [3, 0], [2, 0]] as const) moments.keep(moment("a", revision, start));
  moments.keep(moment("b", 1, 50_000));
  expect(moments.within(0, 100_000).map(({ id, revision }) => [id, revision])).toEqual([["b", 1], ["a", 3]]);
  expect(moments.within(20_000, 40_000)).toEqual([]);
});

test("the token leaves the address, and the view stays", () => {
  expect(withoutToken("#token=abc.def&room=lobby")).toBe("#room=lobby");
  expect(withoutToken("#room=lobby&token=abc&live=1")).toBe("#room=lobby&live=1");
  expect(withoutToken("#token=abc")).toBe("");
  expect(withoutToken("#room=lobby")).toBe("#room=lobby");
});

test("an answer that was cut is put together with the next one", () => {
  const head = "window,kind,start,end,start_ms,end_ms,windows,total,emoji,count\n";
  const row = "10s,tumbling,a,b,0,10000,1,3,🔥,3\n";
  expect(unfold(head + row)).toEqual({ rows: head + row, next: null });
  expect(unfold(`${head}${row}?from=1&after=x,next,,,,,,,,\n`)).toEqual({ rows: head + row, next: "?from=1&after=x" });
});

test("the original of a dead letter is text, also if it came as base64", () => {
  expect(original({ event: "not JSON" })).toBe("not JSON");
  expect(original({ event: "/w==", event_encoding: "base64" })).toBe("�");
  expect(original({ event: "x".repeat(5_000) }).length).toBeLessThan(700);
});
