// A context as the page shows it: pieces of text before the peak, at the peak, and after it.

/** A piece of text with one level: a single token that fired, or a run of tokens that did not. */
export interface Piece {
  text: string;
  /** 0 where the latent did not fire, else 1 (weak) to `STEPS` (as strong as the context's peak). */
  step: number;
  /** The activation; 0 where the latent did not fire. */
  activation: number;
}

export interface Line {
  before: Piece[];
  peak: Piece;
  after: Piece[];
}

/** Number of tints. More could not be told apart. */
export const STEPS = 5;

/** Returns the tint of an activation that is this share of the context's peak, 0 to 1. */
export function stepOf(share: number): number {
  return Math.ceil(share * STEPS);
}

/**
 * Cuts a window into pieces.
 *
 * @param texts text of each token; empty for a token whose character belongs to the one before it
 * @param levels activation of each token as a share of the peak, 0 to 1
 * @param place place of the peak in the window
 * @param peak activation at the peak
 */
export function lineOf(texts: string[], levels: Float32Array, place: number, peak: number): Line {
  const { shown, at } = gather(texts, levels, place);
  const piece = (token: number): Piece => ({ text: texts[token], step: stepOf(shown[token]), activation: shown[token] * peak });
  const pieces = (from: number, to: number) => {
    const found: Piece[] = [];
    for (let token = from; token < to; token++) {
      const last = found[found.length - 1];
      // Tokens that did not fire are one piece, so that a page of contexts has few elements.
      if (shown[token] === 0 && last?.step === 0) last.text += texts[token];
      else if (texts[token] !== "") found.push(piece(token));
    }
    return found;
  };
  return { before: pieces(0, at), peak: piece(at), after: pieces(at + 1, texts.length) };
}

/** Moves levels and the peak from tokens without text to the token that has their character. */
function gather(texts: string[], levels: Float32Array, place: number): { shown: Float32Array; at: number } {
  const shown = levels.slice();
  for (let token = texts.length - 1; token > 0; token--)
    if (texts[token] === "") {
      shown[token - 1] = Math.max(shown[token - 1], shown[token]);
      shown[token] = 0;
    }
  let at = place;
  while (at > 0 && texts[at] === "") at -= 1;
  return { shown, at };
}
