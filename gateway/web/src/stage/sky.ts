// Where the emoji fly: a canvas over the whole screen.

import type { StageOptions } from "./options";
import { Pool, type Flight } from "./pool";
import type { Roster } from "./roster";
import { Sprites } from "./sprites";
import { LIFE_MS } from "./density";

/** More pixels than these cost more than they show. */
const RATIO_MAX = 2;
const PIXELS_MAX = 3840 * 2160;
/** Size of a usual emoji, of the screen's shorter side. */
const SIZE = 0.06;
/** Width of the lane at a side, of the screen's. */
const LANE = 0.3;

const between = (least: number, most: number): number => least + Math.random() * (most - least);

export class Sky {
  readonly pool: Pool;
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D | null;
  readonly #sprites: Sprites;
  readonly #options: StageOptions;
  #width = 0;
  #height = 0;
  #ratio = 1;
  /** Size of a usual emoji, CSS pixels. */
  #usual = 0;
  #clear = true;
  /** One for all: filled in and copied by the pool. */
  readonly #flight: Flight = { place: 0, x: 0, y: 0, vx: 0, vy: 0, pull: 0, sway: 0, turn: 0, size: 0, life: 0 };

  constructor(canvas: HTMLCanvasElement, roster: Roster, options: StageOptions) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#sprites = new Sprites(roster, !options.keyed);
    this.#options = options;
    this.pool = new Pool(roster.flying);
  }

  /** The screen has another size, or other pixels. */
  resize(width: number, height: number, ratio: number): void {
    this.#width = width;
    this.#height = height;
    this.#ratio = Math.min(ratio, RATIO_MAX, Math.sqrt(PIXELS_MAX / Math.max(1, width * height)));
    this.#canvas.width = Math.max(1, Math.round(width * this.#ratio));
    this.#canvas.height = Math.max(1, Math.round(height * this.#ratio));
    this.#usual = Math.max(14, SIZE * Math.min(width, height)) * this.#options.scale;
    // Most are of about this size; the few larger ones may be a little soft.
    this.#sprites.resize(this.#usual * 1.4 * this.#ratio);
    this.#clear = true;
  }

  /** An emoji rises, `size` usual ones large. */
  rise(place: number, size: number): boolean {
    const flight = this.#flight;
    const usual = this.#usual;
    flight.place = place;
    flight.size = usual * size * between(0.8, 1.2);
    flight.life = (LIFE_MS / 1000) * between(0.8, 1.2);
    const { position } = this.#options;
    const lane = position === "full" ? this.#width : Math.max(LANE * this.#width, 3 * usual);
    const from = position === "right" ? this.#width - lane : 0;
    const margin = Math.min(lane / 2, usual);
    flight.x = between(from + margin, from + lane - margin);
    flight.y = this.#height + flight.size;
    flight.vx = (between(-0.06, 0.06) * lane) / flight.life;
    flight.vy = (-between(0.8, 1.12) * (this.#height + flight.size)) / flight.life;
    flight.pull = 0;
    flight.sway = usual * between(0.2, 0.7);
    flight.turn = between(0.8, 1.8);
    return this.pool.launch(flight, Math.random() * 2 * Math.PI);
  }

  /** An emoji flies from behind the banner, to all sides, and falls. */
  burst(place: number): boolean {
    const flight = this.#flight;
    const usual = this.#usual;
    const angle = between(0, 2 * Math.PI);
    const reach = Math.min(this.#width, this.#height) * between(0.25, 0.85);
    flight.place = place;
    flight.size = usual * between(0.7, 1.7);
    flight.life = between(1.8, 3);
    flight.x = this.#width / 2 + Math.cos(angle) * usual;
    flight.y = this.#height * 0.24 + Math.sin(angle) * usual;
    flight.vx = Math.cos(angle) * reach * 1.2;
    flight.vy = Math.sin(angle) * reach - reach * 0.25;
    flight.pull = reach * 0.9;
    flight.sway = usual * 0.15;
    flight.turn = between(2, 5);
    return this.pool.launch(flight, Math.random() * 2 * Math.PI);
  }

  /** A frame, `seconds` after the last one. */
  draw(seconds: number): void {
    const context = this.#context;
    if (!context) return;
    if (!this.#clear) context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#clear = this.pool.count === 0;
    if (this.#clear) return;
    this.pool.step(seconds, this.#copy);
    context.globalAlpha = 1;
  }

  // Made once: a function for each frame would be an allocation for each frame.
  readonly #copy = (place: number, x: number, y: number, size: number, alpha: number): void => {
    const context = this.#context;
    const ratio = this.#ratio;
    if (!context || y < -size || x < -size || x > this.#width + size) return;
    // Half of an emoji over a keyer's green would be half green: there it shrinks instead of fading.
    const { keyed } = this.#options;
    context.globalAlpha = keyed ? 1 : alpha;
    this.#sprites.copy(context, place, x * ratio, y * ratio, size * ratio * (keyed ? alpha : 1));
  };
}
