// The particles: a fixed number of places, so that nothing is allocated while they fly.

import { PARTICLES_MAX } from "./density";

export interface Flight {
  /** Number of its emoji. */
  place: number;
  /** Where from, CSS pixels. */
  x: number;
  y: number;
  /** CSS pixels per second. */
  vx: number;
  vy: number;
  /** What pulls it down, CSS pixels per second². */
  pull: number;
  /** How far it sways to either side, CSS pixels, and how often, radians per second. */
  sway: number;
  turn: number;
  /** CSS pixels. */
  size: number;
  /** Seconds. */
  life: number;
}

const GROW_S = 0.25;
/** Part of its life in which it fades. */
const FADE = 0.3;

export class Pool {
  count = 0;
  readonly #flying: Uint16Array;
  readonly #free = new Uint16Array(PARTICLES_MAX);
  readonly #place = new Int16Array(PARTICLES_MAX).fill(-1);
  readonly #age = new Float32Array(PARTICLES_MAX);
  readonly #life = new Float32Array(PARTICLES_MAX);
  readonly #x = new Float32Array(PARTICLES_MAX);
  readonly #y = new Float32Array(PARTICLES_MAX);
  readonly #vx = new Float32Array(PARTICLES_MAX);
  readonly #vy = new Float32Array(PARTICLES_MAX);
  readonly #pull = new Float32Array(PARTICLES_MAX);
  readonly #sway = new Float32Array(PARTICLES_MAX);
  readonly #turn = new Float32Array(PARTICLES_MAX);
  readonly #phase = new Float32Array(PARTICLES_MAX);
  readonly #size = new Float32Array(PARTICLES_MAX);

  /** `flying` counts the particles of each emoji. */
  constructor(flying: Uint16Array) {
    this.#flying = flying;
    for (let at = 0; at < PARTICLES_MAX; at++) this.#free[at] = PARTICLES_MAX - 1 - at;
  }

  /** False where all places are taken. */
  launch(flight: Readonly<Flight>, phase: number): boolean {
    if (this.count >= PARTICLES_MAX) return false;
    const at = this.#free[PARTICLES_MAX - 1 - this.count]!;
    this.count++;
    this.#flying[flight.place]!++;
    this.#place[at] = flight.place;
    this.#age[at] = 0;
    this.#life[at] = flight.life;
    this.#x[at] = flight.x;
    this.#y[at] = flight.y;
    this.#vx[at] = flight.vx;
    this.#vy[at] = flight.vy;
    this.#pull[at] = flight.pull;
    this.#sway[at] = flight.sway;
    this.#turn[at] = flight.turn;
    this.#phase[at] = phase;
    this.#size[at] = flight.size;
    return true;
  }

  /** Lets all fly on for `seconds`, and calls `draw` for each with its middle, its size and how much of it shows. */
  step(seconds: number, draw: (place: number, x: number, y: number, size: number, alpha: number) => void): void {
    // Each keeps its place among the others, so that none jumps before another when a third lands.
    for (let at = 0; at < PARTICLES_MAX; at++) {
      const place = this.#place[at]!;
      if (place < 0) continue;
      const age = (this.#age[at]! += seconds);
      const life = this.#life[at]!;
      if (age >= life) {
        this.#land(at, place);
        continue;
      }
      const sway = this.#sway[at]! * Math.sin(this.#phase[at]! + this.#turn[at]! * age);
      const x = this.#x[at]! + this.#vx[at]! * age + sway;
      const y = this.#y[at]! + this.#vy[at]! * age + 0.5 * this.#pull[at]! * age * age;
      const grown = age < GROW_S ? 0.4 + (0.6 * age) / GROW_S : 1;
      const left = (life - age) / (life * FADE);
      draw(place, x, y, this.#size[at]! * grown, left < 1 ? left : 1);
    }
  }

  clear(): void {
    for (let at = 0; at < PARTICLES_MAX; at++) if (this.#place[at]! >= 0) this.#land(at, this.#place[at]!);
  }

  #land(at: number, place: number): void {
    this.#place[at] = -1;
    this.#flying[place]!--;
    this.count--;
    this.#free[PARTICLES_MAX - 1 - this.count] = at;
  }
}
