// The emoji as pictures on one sheet: text is drawn once for each, and then only copied.

import { EMOJI_MAX, type Roster } from "./roster";

const COLUMNS = 8;
const FONT = '"Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji", "Twemoji Mozilla", sans-serif';
/** Of a cell, what the emoji takes; around it there is room for its shadow. */
const FILL = 0.74;
const CELL_MIN = 48;
const CELL_MAX = 256;

export class Sprites {
  readonly sheet = document.createElement("canvas");
  /** Side of a cell, pixels. */
  cell = 0;
  readonly #roster: Roster;
  readonly #shadow: boolean;
  readonly #context: CanvasRenderingContext2D | null;
  readonly #drawn: (string | null)[] = new Array<string | null>(EMOJI_MAX).fill(null);

  constructor(roster: Roster, shadow: boolean) {
    this.#roster = roster;
    this.#shadow = shadow;
    this.#context = this.sheet.getContext("2d");
    // The graphics driver may start anew some day; what was drawn is gone then.
    this.sheet.addEventListener("contextrestored", () => this.#drawn.fill(null));
  }

  /** For emoji that are shown up to so many device pixels large. */
  resize(pixels: number): void {
    const cell = Math.min(CELL_MAX, Math.max(CELL_MIN, Math.ceil(pixels / FILL / 16) * 16));
    if (cell === this.cell) return;
    this.cell = cell;
    this.sheet.width = COLUMNS * cell;
    this.sheet.height = Math.ceil(EMOJI_MAX / COLUMNS) * cell;
    this.#drawn.fill(null);
  }

  /** Copies an emoji to `context`, its middle at x, y; `size` is the emoji's, without its shadow. */
  copy(context: CanvasRenderingContext2D, place: number, x: number, y: number, size: number): void {
    if (this.#drawn[place] !== this.#roster.names[place]) this.#draw(place);
    const { cell } = this;
    const side = size / FILL;
    const [left, top] = [(place % COLUMNS) * cell, Math.floor(place / COLUMNS) * cell];
    context.drawImage(this.sheet, left, top, cell, cell, x - side / 2, y - side / 2, side, side);
  }

  #draw(place: number): void {
    const context = this.#context;
    const name = this.#roster.names[place] ?? null;
    this.#drawn[place] = name;
    if (!context || name === null) return;
    const { cell } = this;
    const [left, top] = [(place % COLUMNS) * cell, Math.floor(place / COLUMNS) * cell];
    context.save();
    context.beginPath();
    context.rect(left, top, cell, cell);
    context.clip();
    context.clearRect(left, top, cell, cell);
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    // Fonts differ in how large their emoji are: measured, and made to fit.
    context.font = `${cell}px ${FONT}`;
    const whole = context.measureText(name);
    const width = whole.actualBoundingBoxLeft + whole.actualBoundingBoxRight;
    const height = whole.actualBoundingBoxAscent + whole.actualBoundingBoxDescent;
    const font = (cell * cell * FILL) / Math.max(width, height, 1);
    context.font = `${font}px ${FONT}`;
    if (this.#shadow) {
      context.shadowColor = "rgb(0 0 0 / 45%)";
      context.shadowBlur = cell * 0.06;
      context.shadowOffsetY = cell * 0.02;
    }
    const box = context.measureText(name);
    const x = left + cell / 2 + (box.actualBoundingBoxLeft - box.actualBoundingBoxRight) / 2;
    const y = top + cell / 2 + (box.actualBoundingBoxAscent - box.actualBoundingBoxDescent) / 2;
    context.fillText(name, x, y);
    context.restore();
  }
}
