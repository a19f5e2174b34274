// The bars of a latent's histogram. Most activations are weak, so heights are logarithms of counts.

export interface Bars {
  /** Height of each bar, as a share of the axis: 0 for no token, and a little for a single one. */
  heights: number[];
  /** Powers of ten on the vertical axis, each with its height. */
  ticks: { count: number; height: number }[];
  total: number;
}

/** Returns the bars of 24 counts. The axis ends at the largest count, or at 10 if all are smaller. */
export function barsOf(counts: ArrayLike<number>): Bars {
  const all = Array.from(counts);
  const top = scale(Math.max(10, ...all));
  const ticks = [];
  for (let count = 1; scale(count) <= top; count *= 10) ticks.push({ count, height: scale(count) / top });
  return { heights: all.map((count) => scale(count) / top), ticks, total: all.reduce((sum, count) => sum + count, 0) };
}

/** log2(1 + count): 0 for none and 1 for one, so that a bar of a single token is seen. */
function scale(count: number): number {
  return Math.log2(1 + count);
}
