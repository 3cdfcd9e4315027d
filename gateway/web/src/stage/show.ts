// The show: what the feed tells goes to the crowd, and from there, frame by frame, to the sky and the board.

import type { FeedMessage } from "../../ovation-api.js";
import { Crowd } from "./crowd";
import { BURST_MAX, PARTICLES_MAX, Quality, sizeOf, weightOf } from "./density";
import { Moments, type Banner, type Moment } from "./moments";
import { plain, type StageOptions } from "./options";
import { Pace } from "./pace";
import { Roster, type Share } from "./roster";
import type { Sky } from "./sky";

/** The board is read by people: it changes at most so often, in ms. */
const BOARD_MS = 66;
/** Without motion it changes as a clock does. */
const CALM_MS = 1_000;
/** Time in which a counter goes most of the way to a new number, in ms. */
const COUNT_MS = 260;
/** After so long between two frames the page was hidden: what waited is not shown any more. */
const HIDDEN_MS = 1_000;
/** No frame is longer for the particles: after a hitch they go on where they were. */
const FRAME_MS_MAX = 100;
const LEADERS = 5;
/** A lane is narrower than the screen: with so much of its swarm it is as thick. */
const LANE_BEARS = 0.45;

/** What stands on the lower third. */
export interface Board {
  total: number;
  /** Taps per second. */
  rate: number;
  leaders: Share[];
  /** -1 to 1. */
  mood: number | null;
  banner: Banner | null;
  /** Particles in the air. */
  flying: number;
}

export class Show {
  readonly #options: StageOptions;
  readonly #sky: Sky;
  readonly #roster: Roster;
  readonly #crowd: Crowd;
  readonly #moments: Moments;
  readonly #pace: Pace;
  readonly #quality = new Quality();
  readonly #post: (board: Board) => void;
  readonly #calm: () => boolean;
  /** The next frame; 0 while nothing moves. */
  #frame = 0;
  #frameAt = 0;
  #boardAt = 0;
  #agedAt = 0;
  #workMs = 0;
  #total = 0;
  #weight = 1;

  /** `post` takes the board when it changes; `calm` tells whether motion is unwanted. */
  constructor(
    options: StageOptions,
    roster: Roster,
    sky: Sky,
    calm: () => boolean,
    post: (board: Board) => void,
  ) {
    this.#options = options;
    this.#sky = sky;
    this.#roster = roster;
    this.#calm = calm;
    this.#post = post;
    this.#moments = new Moments(options);
    this.#pace = new Pace(roster);
    const shows = (emoji: string): boolean => !options.emoji || options.emoji.has(plain(emoji));
    this.#crowd = new Crowd({
      add: (emoji, taps) => {
        if (shows(emoji)) roster.add(emoji, taps);
      },
      remember: (emoji, taps) => {
        if (shows(emoji)) roster.remember(emoji, taps);
      },
    });
  }

  hear(message: FeedMessage): void {
    const now = performance.now();
    const { type } = message as { type: string };
    if (type === "update") {
      const { update } = message as FeedMessage & { type: "update" };
      if (this.#crowd.update(update, now)) this.#pace.portion(now);
    } else if (type === "snapshot") {
      const snapshot = message as FeedMessage & { type: "snapshot" };
      this.#crowd.snapshot(snapshot, now);
      this.#moments.remember((snapshot as { moments?: Moment[] }).moments ?? []);
      // The first number is there, and is not counted up to.
      if (this.#total === 0) this.#total = this.#crowd.total;
    } else if (type === "moment") {
      this.#moments.take((message as unknown as { moment: Moment }).moment, this.#crowd.time);
    } else return;
    this.wake();
  }

  /** Something may have changed: frames come until all is at rest again. */
  wake(): void {
    if (this.#frame) return;
    this.#frameAt = this.#agedAt = performance.now();
    this.#frame = requestAnimationFrame(this.#step);
  }

  readonly #step = (): void => {
    const now = performance.now();
    const passed = now - this.#frameAt;
    this.#frameAt = now;
    const { pool } = this.#sky;
    this.#quality.frame(passed, this.#workMs, pool.count);
    const calm = this.#calm();
    if (passed > HIDDEN_MS) this.#pace.drop();
    if (calm) {
      this.#pace.drop();
      pool.clear();
    }
    const ms = Math.min(passed, FRAME_MS_MAX);
    const rate = this.#crowd.rate(now);
    this.#weight = weightOf(Math.max(rate, this.#crowd.burst(now)), this.#bears());
    this.#pace.step(ms, this.#weight, this.#rise);
    const banner = this.#moments.step(now);
    if (banner && !calm) this.#burst(banner);
    this.#sky.draw(ms / 1000);

    const rest = this.#crowd.atRest(now) && this.#pace.waiting() === 0 && pool.count === 0 && !this.#moments.busy;
    if (rest || now - this.#boardAt >= (calm && !banner ? CALM_MS : BOARD_MS)) this.#write(now, rest || calm, rate);
    this.#workMs = performance.now() - now;
    this.#frame = rest && this.#total === this.#crowd.total ? 0 : requestAnimationFrame(this.#step);
  };

  /** What the device and the lane bear, 0 to 1. */
  #bears(): number {
    return this.#quality.now * (this.#options.position === "full" ? 1 : LANE_BEARS);
  }

  readonly #rise = (place: number): void => {
    // Where it gets full, ever more are left out, and not all at once: that would leave a hole in the swarm.
    const most = (PARTICLES_MAX - BURST_MAX) * this.#bears();
    if (this.#sky.pool.count >= most * (0.85 + 0.15 * Math.random())) return;
    this.#sky.rise(place, sizeOf(this.#roster.shareOf(place), this.#weight));
  };

  #burst({ burst }: Banner): void {
    const count = Math.round(BURST_MAX * Math.max(0.3, this.#quality.now));
    for (let at = 0; at < count; at++) {
      // Half of them are the leading emoji, half of the rest the next, and so on.
      const rank = Math.min(burst.length - 1, Math.floor(-Math.log2(1 - Math.random())));
      const place = this.#roster.place(burst[rank] ?? "");
      if (place >= 0) this.#sky.burst(place);
    }
  }

  #write(now: number, whole: boolean, rate: number): void {
    const passed = now - this.#boardAt;
    this.#boardAt = now;
    this.#roster.age(now - this.#agedAt);
    this.#agedAt = now;
    const missing = this.#crowd.total - this.#total;
    const step = whole || missing < 0 ? missing : Math.ceil(missing * (1 - Math.exp(-passed / COUNT_MS)));
    this.#total += step;
    this.#post({
      total: this.#total,
      rate,
      leaders: this.#roster.leaders(LEADERS),
      mood: this.#crowd.mood(now),
      banner: this.#moments.shown,
      flying: this.#sky.pool.count,
    });
  }
}
