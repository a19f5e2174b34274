// The histogram of a latent's activations.
import { barsOf } from "./bars.ts";
import { activation, number } from "./numbers.ts";

const WIDTH = 240;
const HEIGHT = 64;
const LEFT = 30;
const BELOW = 16;

const short = (count: number) => (count >= 1e6 ? `${count / 1e6}M` : count >= 1e3 ? `${count / 1e3}k` : String(count));

/** Draws 24 counts of activations from 0 to `end`, by the logarithm. */
export function Histogram({ counts, end }: { counts: ArrayLike<number>; end: number }) {
  const { heights, ticks, total } = barsOf(counts);
  const step = WIDTH / heights.length;
  const label = `Histogram of ${number(total, 0)} activations from 0 to ${activation(end)}; heights are logarithms of counts`;
  // Three labels at most, else they touch.
  const labelled = ticks.filter((_, at) => at % Math.ceil(ticks.length / 3) === 0);
  return (
    <svg class="histogram" role="img" aria-label={label} viewBox={`0 0 ${LEFT + WIDTH + 8} ${HEIGHT + BELOW + 8}`}>
      <g transform={`translate(${LEFT} 6)`}>
        {labelled.map(({ count, height }) => (
          <g key={count} transform={`translate(0 ${HEIGHT * (1 - height)})`}>
            <line class="tick" x1={0} x2={WIDTH} />
            <text x={-5} y={3.5} text-anchor="end">{short(count)}</text>
          </g>
        ))}
        {heights.map((height, at) => (
          <rect key={at} x={at * step + 0.5} width={step - 1} y={HEIGHT * (1 - height)} height={HEIGHT * height}>
            <title>{`${activation((at * end) / heights.length)} to ${activation(((at + 1) * end) / heights.length)}: ${number(counts[at], 0)} tokens`}</title>
          </rect>
        ))}
        <line class="ground" x1={0} x2={WIDTH} y1={HEIGHT} y2={HEIGHT} />
        {[0, 0.5, 1].map((share) => (
          <text key={share} x={share * WIDTH} y={HEIGHT + 13} text-anchor={share === 0 ? "start" : share === 1 ? "end" : "middle"}>
            {activation(share * end)}
          </text>
        ))}
      </g>
    </svg>
  );
}
