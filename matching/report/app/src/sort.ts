// The order of the list. Ties keep the order of the latents' numbers, in either direction.

const ROWS = 2 ** 21;
const LAST = 0xffffffff;

/**
 * Latents by rising value, or falling if `down`; those without a value come last.
 * A key of 32 bits and the latent's number share one double, so that the native sort of numbers does
 * all the work: exact up to 2^21 latents.
 */
export function sortedOrder(values: ArrayLike<number>, down: boolean): Uint32Array {
  if (values.length > ROWS) throw new RangeError(`at most ${ROWS} latents can be sorted, not ${values.length}`);
  const keys = keysOf(values);
  const packed = new Float64Array(keys.length);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] === LAST || !down ? keys[i] : LAST - 1 - keys[i];
    packed[i] = key * ROWS + i;
  }
  packed.sort();
  const order = new Uint32Array(keys.length);
  for (let i = 0; i < keys.length; i++) order[i] = packed[i] % ROWS;
  return order;
}

/** Numbers of 32 bits that order as the values do. */
function keysOf(values: ArrayLike<number>): Uint32Array {
  const floats = Float32Array.from(values);
  const bits = new Int32Array(floats.buffer);
  const keys = new Uint32Array(values.length);
  for (let i = 0; i < keys.length; i++) {
    // Positive floats order as their bits do, negative ones the other way round; -0 equals 0.
    if (floats[i] !== floats[i]) keys[i] = LAST;
    else if (floats[i] === 0) keys[i] = 0x80000000;
    else keys[i] = bits[i] < 0 ? ~bits[i] : bits[i] | 0x80000000;
  }
  return keys;
}
