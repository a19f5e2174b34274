// Where two latents fire on the same text, as far as their stored contexts tell.

/** What the comparison needs of a context. */
export interface Firing {
  /** Place of the peak in the corpus. */
  position: number;
  /** Tokens of the window before and after the peak. */
  before: number;
  after: number;
  /** Places in the corpus at which the latent fired, ascending. */
  fired: number[];
}

/** How a context meets the other latent's contexts, from weakest to closest. */
export type Meeting = "none" | "text" | "token" | "peak";
const CLOSENESS: Meeting[] = ["none", "text", "token", "peak"];

/** Says for each context of `mine` how closely any of `theirs` meets it. */
export function meetings(mine: Firing[], theirs: Firing[]): Meeting[] {
  return mine.map((one) => {
    const closest = Math.max(0, ...theirs.map((other) => CLOSENESS.indexOf(meeting(one, other))));
    return CLOSENESS[closest];
  });
}

function meeting(one: Firing, other: Firing): Meeting {
  const apart = one.position - one.before > other.position + other.after || other.position - other.before > one.position + one.after;
  if (apart) return "none";
  if (one.position === other.position) return "peak";
  const fired = new Set(other.fired);
  return one.fired.some((position) => fired.has(position)) ? "token" : "text";
}

const KINDS = [
  { kind: "peak", words: "at the peak of both" },
  { kind: "token", words: "at a token on which both fire" },
  { kind: "text", words: "on the same text only" },
] as const;

/** The sign of each kind of meeting, in the words and at each context. */
export const SIGNS: Record<Meeting, string> = { none: "", text: "○", token: "◐", peak: "●" };

/** Says in words how many contexts meet those of the latent that is called `them`, and how. */
export function meetingWords(found: Meeting[], them: string): string {
  if (found.length === 0) return "";
  const met = found.filter((meeting) => meeting !== "none").length;
  if (met === 0) return `None of these ${found.length} contexts meets one of ${them}.`;
  const parts = KINDS.map(({ kind, words }) => ({ count: found.filter((meeting) => meeting === kind).length, text: words, sign: SIGNS[kind] }));
  const how = parts.filter(({ count }) => count > 0).map(({ count, text, sign }) => `${sign} ${count} ${text}`);
  return `${met} of these ${found.length} contexts ${met === 1 ? "meets" : "meet"} one of ${them}: ${how.join(", ")}.`;
}
