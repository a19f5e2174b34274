// Tokens that the logit lens lists for several latents.

/** Returns the tokens that at least two of the lists hold. */
export function shared(lists: ArrayLike<number>[]): Set<number> {
  const seen = new Set<number>();
  const twice = new Set<number>();
  for (const list of lists) {
    for (const token of new Set(Array.from(list))) {
      if (seen.has(token)) twice.add(token);
      seen.add(token);
    }
  }
  return twice;
}
