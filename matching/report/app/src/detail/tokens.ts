// The text of tokens. A vocabulary's tokens are bytes, and a character may be split over several of them.
import type { Strings } from "../data.ts";

// A byte order mark inside a text is a character like any other, so it must not be taken away.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const continuesCharacter = (byte: number) => (byte & 0xc0) === 0x80;

/** What is needed of the vocabulary. */
export type Vocabulary = Pick<Strings, "length" | "bytesOf">;

/**
 * Returns the text of each token of a run. A character that several tokens share belongs to the first of them.
 * Without a vocabulary, and for a token that it does not have, the text is the token's number.
 */
export function textsOf(run: ArrayLike<number>, vocabulary: Vocabulary | null): string[] {
  const parts = Array.from(run, (token) => bytesOf(token, vocabulary));
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  const ends: number[] = [];
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    ends.push((at += part.length));
  }
  let start = 0;
  return ends.map((end) => {
    // The rest of the last character, three bytes at most, comes from the next tokens.
    let stop = Math.max(end, start);
    while (stop < joined.length && stop < end + 3 && continuesCharacter(joined[stop])) stop += 1;
    const text = decoder.decode(joined.subarray(start, stop));
    start = stop;
    return text;
  });
}

/** Returns the text of a token that stands alone; bytes that are no characters are shown as numbers. */
export function textOf(token: number, vocabulary: Vocabulary | null): string {
  const text = textsOf([token], vocabulary)[0];
  if (!text.includes("\ufffd")) return text;
  return `⟨${Array.from(bytesOf(token, vocabulary), (byte) => byte.toString(16).padStart(2, "0")).join(" ")}⟩`;
}

function bytesOf(token: number, vocabulary: Vocabulary | null): Uint8Array {
  if (vocabulary && token < vocabulary.length) return vocabulary.bytesOf(token);
  return new TextEncoder().encode(`⟨${token}⟩`);
}

/**
 * Shows what has no shape of its own: a new line is ↵, a tab is ⇥, other control characters are their pictures.
 * With `breaks`, the text goes on in a new line after each ↵.
 */
export function visible(text: string, breaks = false): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, (character) => {
    if (character === "\n") return breaks ? "↵\n" : "↵";
    if (character === "\t") return "⇥";
    return String.fromCharCode(character === "\u007f" ? 0x2421 : 0x2400 + character.charCodeAt(0));
  });
}
