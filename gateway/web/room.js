// The page of a room: big buttons, and the crowd's counts as the server's updates tell them.

import { Ovation, newId } from "/ovation.js";
import { Floats } from "./floats.js";

/** Windows kept: those that may still change, and a few more. */
const WINDOWS_MAX = 32;
/** Emoji shown that have no button. */
const OTHERS_MAX = 6;
/** A screen reader hears of the crowd at most this often. */
const SPOKEN_MS_MIN = 10_000;
/** How long a button looks tapped, and a notice stays. */
const TAPPED_MS = 120;
const NOTICE_MS = 6_000;

const STATES = {
  connecting: "Connecting",
  live: "Live",
  away: "Offline, trying again",
  denied: "You may not watch this room: its link has no token, or one that has run out",
};

const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const room = decodeURIComponent(location.pathname.split("/")[2] ?? "lobby");
const buttons = [...document.querySelectorAll("#pad button")];
const ownEmoji = new Set(buttons.map((button) => button.dataset.emoji));
const floats = new Floats(byId("sky"));

/** Window -> its latest record. */
const windows = new Map();
let totals = null;
let drawing = false;

// The end of a session grows: definition and start tell windows apart.
const keyOf = ({ name, start }) => `${name} ${start}`;
const lengthOf = ({ start, end }) => end - start;
const numberIn = (counts, emoji) => counts?.[emoji] ?? 0;

/** Keeps a record. True if it is news. */
function keep(record) {
  const key = keyOf(record.window);
  const known = windows.get(key);
  if (known && (known.epoch > record.epoch || (known.epoch === record.epoch && known.revision > record.revision))) {
    return false;
  }
  if (record.retracted) windows.delete(key);
  else windows.set(key, record);
  while (windows.size > WINDOWS_MAX) {
    const oldest = [...windows.values()].reduce((one, other) => (other.window.end < one.window.end ? other : one));
    windows.delete(keyOf(oldest.window));
  }
  return true;
}

/** The newest window; the shortest where several end together. */
function current() {
  let found = null;
  for (const record of windows.values()) {
    const [one, other] = [record.window, found?.window];
    if (!other || one.start > other.start || (one.start === other.start && lengthOf(one) < lengthOf(other))) found = record;
  }
  return found;
}

/** The shortest windows tell each tap once. */
function tellsTaps({ window }) {
  for (const { window: other } of windows.values()) if (lengthOf(other) < lengthOf(window)) return false;
  return true;
}

function takeSnapshot(message) {
  windows.clear();
  totals = message.room_totals;
  for (const record of message.windows) keep(record);
  draw();
}

function takeUpdate(record) {
  const before = windows.get(keyOf(record.window))?.counts;
  totals = record.room_totals;
  if (keep(record) && tellsTaps(record)) {
    for (const [emoji, count] of Object.entries(record.counts)) {
      const more = count - numberIn(before, emoji);
      if (more > 0) floats.add(emoji, more);
    }
  }
  draw();
}

/** Draws at most once a frame, however many updates come. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const record = current();
    const reactions = totals?.reactions ?? 0;
    byId("total").textContent = number.format(reactions);
    byId("total-unit").textContent = reactions === 1 ? "reaction" : "reactions";
    byId("now").textContent = sentence(record);
    for (const button of buttons) {
      const count = numberIn(record?.counts, button.dataset.emoji);
      button.querySelector(".count").textContent = number.format(count);
      button.style.setProperty("--share", record?.total ? count / record.total : 0);
      button.setAttribute("aria-label", count ? `${button.dataset.name}, ${number.format(count)} now` : button.dataset.name);
    }
    drawOthers(record);
    speak(record, reactions);
  });
}

function sentence(record) {
  if (!record) return totals?.reactions ? "Quiet at the moment." : "Nobody has reacted yet. Be the first.";
  const seconds = number.format(Math.round(lengthOf(record.window) / 1000));
  const taps = number.format(record.total);
  return record.final ? `Quiet at the moment. Last: ${taps} in ${seconds} s` : `${taps} in these ${seconds} s`;
}

function drawOthers(record) {
  const others = Object.entries(record?.counts ?? {}).filter(([emoji]) => !ownEmoji.has(emoji));
  others.sort(([, one], [, other]) => other - one);
  byId("others").replaceChildren(
    ...others.slice(0, OTHERS_MAX).map(([emoji, count]) => {
      const item = document.createElement("li");
      const face = document.createElement("span");
      face.className = "emoji";
      face.textContent = emoji;
      item.append(face, ` ${number.format(count)}`);
      return item;
    }),
  );
}

let spokenAt = 0;
let spoken = "";

function speak(record, reactions) {
  const now = Date.now();
  const [leader] = Object.entries(record?.counts ?? {}).sort(([, one], [, other]) => other - one);
  const text = leader ? `${number.format(reactions)} reactions. ${leader[0]} leads.` : "";
  if (text === spoken || now - spokenAt < SPOKEN_MS_MIN) return;
  [spoken, spokenAt] = [text, now];
  byId("spoken").textContent = text;
}

/**
 * The token that the page's link brings behind `#`, which no server is told. It goes out of the address at once, so that it
 * stays in no history and on no shared screen, and is kept until the tab is closed.
 */
function tokenHere() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem("ovation.token", given);
    return given ?? sessionStorage.getItem("ovation.token") ?? undefined;
  } catch {
    return given ?? undefined;
  } finally {
    if (given) history.replaceState(null, "", location.pathname + location.search);
  }
}

/** Whether the token says whose every reaction is. Then another name would be refused. */
function namesUser(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(claims)).sub !== undefined;
  } catch {
    return false;
  }
}

/** Who taps on this device: a random name that says nothing, kept where the browser allows. */
function whoTaps() {
  try {
    const known = localStorage.getItem("ovation.user") ?? newId();
    localStorage.setItem("ovation.user", known);
    return known;
  } catch {
    return newId();
  }
}

let noticeTimer = 0;

function notice(text) {
  clearTimeout(noticeTimer);
  byId("notice").textContent = text;
  noticeTimer = setTimeout(() => (byId("notice").textContent = ""), NOTICE_MS);
}

function tap(button) {
  button.classList.add("tapped");
  setTimeout(() => button.classList.remove("tapped"), TAPPED_MS);
  ovation.react(button.dataset.emoji).catch((error) => notice(`${button.dataset.emoji} ${error.message}`));
}

byId("room").textContent = room;
document.title = `${room} · Ovation`;

const token = tokenHere();
const ovation = new Ovation({ room, token, user: namesUser(token) ? undefined : whoTaps() });
ovation.on("state", (state) => {
  byId("link").dataset.state = state;
  byId("link").textContent = STATES[state];
});
ovation.on("snapshot", takeSnapshot);
ovation.on("update", takeUpdate);

// Another link to the same room, with another token.
addEventListener("hashchange", () => location.reload());
for (const button of buttons) button.addEventListener("click", () => tap(button));
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = buttons[Number(event.key) - 1];
  if (button) tap(button);
});
