// A past stretch, played again: where its clock stands.

export const SPEEDS = [1, 2, 5, 10, 20, 60] as const;

export type Replay = {
  from: number;
  to: number;
  /** The time that is shown, ms since 1970. */
  at: number;
  speed: number;
  playing: boolean;
};

/** A replay of [from, to) from its beginning, fast enough to be through in about two minutes. */
export function begin(from: number, to: number): Replay {
  const wanted = (to - from) / 120_000;
  const speed = SPEEDS.find((one) => one >= wanted) ?? SPEEDS[SPEEDS.length - 1]!;
  return { from, to, at: from, speed, playing: true };
}

/** The replay after so many ms of real time; it stops at its end. */
export function pass(replay: Replay, ms: number): Replay {
  if (!replay.playing) return replay;
  const at = Math.min(replay.to, replay.at + ms * replay.speed);
  return { ...replay, at, playing: at < replay.to };
}

export function seek(replay: Replay, at: number): Replay {
  return { ...replay, at: Math.min(replay.to, Math.max(replay.from, at)) };
}

/** Play or pause; played at its end it begins anew. */
export function toggle(replay: Replay): Replay {
  if (replay.playing) return { ...replay, playing: false };
  return { ...replay, playing: true, at: replay.at >= replay.to ? replay.from : replay.at };
}
