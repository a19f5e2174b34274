// A scale maps the numbers of a column to 0..1, for sliders, histograms and axes.

export interface Scale {
  log: boolean;
  low: number;
  high: number;
}

/** A logarithmic scale starts at the smallest positive number; what is not positive lies at its start. */
export function scaleOf(values: ArrayLike<number>, log: boolean): Scale {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (log ? value > 0 : value === value) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return { log: false, low: 0, high: 1 };
  if (!log) return rounded(low, high);
  const first = Math.floor(Math.log10(low));
  return { log, low: 10 ** first, high: 10 ** Math.max(first + 1, Math.ceil(Math.log10(high))) };
}

function rounded(low: number, high: number): Scale {
  const step = niceStep((high - low || 1) / 20);
  const first = Math.floor(low / step + 1e-6);
  return { log: false, low: first * step, high: Math.max(first + 1, Math.ceil(high / step - 1e-6)) * step };
}

/** Whether few values are far above the others, so that a logarithmic scale shows them better. */
export function isSkewed(values: ArrayLike<number>): boolean {
  const positive = [];
  for (let i = 0; i < values.length; i += Math.max(1, Math.floor(values.length / 1000))) {
    if (values[i] < 0) return false;
    if (values[i] > 0) positive.push(values[i]);
  }
  positive.sort((a, b) => a - b);
  return positive.length > 1 && positive[positive.length - 1] > 50 * positive[positive.length >> 1];
}

/** 0 to 1; NaN stays NaN. */
export function position({ log, low, high }: Scale, value: number): number {
  const place = log
    ? value > low
      ? Math.log(value / low) / Math.log(high / low)
      : value === value
        ? 0
        : NaN
    : (value - low) / (high - low);
  return place < 0 ? 0 : place > 1 ? 1 : place;
}

export function valueAt({ log, low, high }: Scale, place: number): number {
  return log ? low * (high / low) ** place : low + place * (high - low);
}

export function ticks({ log, low, high }: Scale, about: number): number[] {
  const found = [];
  if (log) {
    const decades = Math.round(Math.log10(high / low));
    const every = Math.max(1, Math.ceil(decades / about));
    for (let d = 0; d <= decades; d += every) found.push(low * 10 ** d);
    return found;
  }
  const step = niceStep((high - low) / about);
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k++) found.push(k * step);
  return found;
}

function niceStep(rough: number): number {
  const unit = 10 ** Math.floor(Math.log10(rough));
  return unit * ([1, 2, 5].find((factor) => factor * unit >= rough * 0.999) ?? 10);
}

/** A number of an axis: as short as it can be. */
export function tickText(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(3));
}
