// Files to keep: a picture of the charts, and a table of what they show.

import { ask, pathOf } from "./gateway";
import { queryOf, type Asked } from "./history";

/** Answers that a table is made of: 10,000 records each. */
const PAGES_MAX = 50;
const MARGIN = 16;
const TITLE_PX = 20;
const TEXT_PX = 13;

/** Hands a file to the browser. The policy of the page keeps blobs out of it, but not out of downloads. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The download has its own hold on the blob by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export type Sheet = { title: string; canvas: HTMLCanvasElement; legend: { text: string; colour: string }[]; faces: { x: number; face: string }[] };

/** Text fonts have their own black-and-white glyphs for some emoji, so that these are written in a font of their own. */
const TEXT = 'system-ui, "Noto Sans", sans-serif';
const FACES = '"Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji", "Twemoji Mozilla", sans-serif';

/** Charts below each other, each with its title and what its colours mean. */
export function draw(title: string, subtitle: string, sheets: Sheet[], colours: { ink: string; soft: string; card: string }): HTMLCanvasElement {
  const scale = devicePixelRatio;
  const width = Math.max(...sheets.map(({ canvas }) => canvas.width)) + 2 * MARGIN * scale;
  const heads = sheets.map(({ legend }) => (legend.length ? 52 : 30) * scale);
  const height = 64 * scale + sheets.reduce((sum, { canvas }, at) => sum + canvas.height + heads[at]!, 0) + MARGIN * scale;
  const picture = document.createElement("canvas");
  picture.width = width;
  picture.height = height;
  const pen = picture.getContext("2d")!;
  const write = (text: string, x: number, y: number, colour: string, px: number, weight = 400) => {
    pen.fillStyle = colour;
    pen.font = `${weight} ${px * scale}px ${/\p{Emoji_Presentation}|\uFE0F/u.test(text) ? FACES : TEXT}`;
    pen.fillText(text, x * scale, y);
    return pen.measureText(text).width / scale;
  };
  pen.fillStyle = colours.card;
  pen.fillRect(0, 0, width, height);
  write(title, MARGIN, 30 * scale, colours.ink, TITLE_PX, 700);
  write(subtitle, MARGIN, 52 * scale, colours.soft, TEXT_PX);
  let y = 64 * scale;
  sheets.forEach(({ title, canvas, legend, faces }, at) => {
    write(title, MARGIN, y + 20 * scale, colours.ink, TEXT_PX + 1, 600);
    let x = MARGIN;
    for (const { text, colour } of legend) {
      pen.fillStyle = colour;
      pen.fillRect(x * scale, y + 32 * scale, 10 * scale, 10 * scale);
      x += 16 + write(text, x + 15, y + 42 * scale, colours.ink, TEXT_PX) + 14;
    }
    y += heads[at]!;
    pen.drawImage(canvas, MARGIN * scale, y);
    for (const { x, face } of faces) write(face, MARGIN + x - TEXT_PX / 2, y + 20 * scale, colours.ink, TEXT_PX + 2);
    y += canvas.height;
  });
  return picture;
}

export const toPng = (picture: HTMLCanvasElement): Promise<Blob | null> => new Promise((done) => picture.toBlob(done, "image/png"));

/** The range as the gateway writes it for spreadsheets. An answer that was cut ends with a row that says where it goes on. */
export async function table(asked: Asked, signal?: AbortSignal): Promise<Blob> {
  const query = queryOf(asked);
  query.set("format", "csv");
  let url: URL | null = new URL(`${pathOf(asked.room)}/history?${query}`, location.href);
  const parts: string[] = [];
  for (let page = 0; url && page < PAGES_MAX; page++) {
    const { rows, next } = unfold(await (await ask(url, signal)).text());
    // The header is told once.
    parts.push(page === 0 ? rows : rows.slice(rows.indexOf("\n") + 1));
    url = next === null ? null : new URL(next, url);
  }
  return new Blob(parts, { type: "text/csv;charset=utf-8" });
}

/** The rows of an answer, and the query that goes on: the field `window` of a last row whose `kind` is `next`. */
export function unfold(text: string): { rows: string; next: string | null } {
  const cut = /(?:^|\n)("?)([^\n"]*)\1,next,,*\r?\n?$/.exec(text);
  if (!cut) return { rows: text, next: null };
  return { rows: text.slice(0, cut.index + (text[cut.index] === "\n" ? 1 : 0)), next: cut[2] ?? null };
}
