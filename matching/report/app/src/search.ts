// Search: a latent by its number, or tokens and explanations by their text.

export type Query =
  { kind: "latent"; sae: string | null; latent: number } | { kind: "text"; text: string; exact: boolean };

/** Null if there is nothing to look for. `#123`, `seed1:123`, `"exact"`, or any text. */
export function parseQuery(query: string, saes: readonly string[]): Query | null {
  const text = query.trim();
  if (!text) return null;
  const number = /^#(\d+)$/.exec(text);
  if (number) return { kind: "latent", sae: null, latent: Number(number[1]) };
  const colon = text.lastIndexOf(":");
  const sae = text.slice(0, colon);
  const latent = text.slice(colon + 1).replace(/^#/, "");
  if (colon > 0 && /^\d+$/.test(latent) && saes.includes(sae)) return { kind: "latent", sae, latent: Number(latent) };
  const quoted = /^"(.+)"$/.exec(text);
  return quoted
    ? { kind: "text", text: quoted[1], exact: true }
    : { kind: "text", text: text.toLowerCase(), exact: false };
}

/** Words in lower case and as they are, one for each token of the vocabulary. */
export interface Words {
  exact: string[];
  lower: string[];
}

/** Which tokens of the vocabulary match; an exact search need not give the space before a word. */
export function matchingWords(words: Words, { text, exact }: { text: string; exact: boolean }): Uint8Array {
  const found = new Uint8Array(words.exact.length);
  for (let w = 0; w < found.length; w++) {
    found[w] = +(exact ? words.exact[w] === text || words.exact[w] === ` ${text}` : words.lower[w].includes(text));
  }
  return found;
}

/** All texts in one string, so that one native search finds every match. */
export interface Joined {
  exact: string;
  lower: string;
  /** Where each text starts, and the end. */
  starts: Uint32Array;
}

export function join(texts: readonly string[]): Joined {
  const starts = new Uint32Array(texts.length + 1);
  for (let i = 0; i < texts.length; i++) starts[i + 1] = starts[i] + texts[i].length + 1;
  const exact = texts.join("\n");
  const lower = exact.toLowerCase();
  if (lower.length === exact.length) return { exact, lower, starts };
  // A few letters take more places in lower case: texts with such letters are searched as they are.
  const same = texts.map((text) => (text.toLowerCase().length === text.length ? text.toLowerCase() : text));
  return { exact, lower: same.join("\n"), starts };
}

/** Which of the joined texts contain the text. */
export function matchingTexts(joined: Joined, { text, exact }: { text: string; exact: boolean }): Uint8Array {
  const all = exact ? joined.exact : joined.lower;
  const found = new Uint8Array(joined.starts.length - 1);
  let row = 0;
  for (let at = all.indexOf(text); at >= 0; at = all.indexOf(text, joined.starts[row + 1])) {
    while (joined.starts[row + 1] <= at) row++;
    found[row] = 1;
    if (row + 1 >= found.length) break;
  }
  return found;
}

/** `tokens` are (L, width), -1 for none; a latent is found if any of its tokens or its explanation is. */
export function textMask(
  numLatents: number,
  tokens: readonly Int32Array[],
  words: Uint8Array | null,
  texts: Uint8Array | null,
): Uint8Array {
  const mask = texts ? texts.slice() : new Uint8Array(numLatents);
  if (!words) return mask;
  for (const column of tokens) {
    const width = column.length / numLatents;
    for (let at = 0; at < column.length; at++)
      if (column[at] >= 0 && words[column[at]]) mask[Math.floor(at / width)] = 1;
  }
  return mask;
}
