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

/** Says in words where both fire on the same text. `them` names the other latent. */
export function meetingWords(found: Meeting[], them: string): string {
  const count = (...kinds: Meeting[]) => found.filter((meeting) => kinds.includes(meeting)).length;
  const text = count("text", "token", "peak");
  const token = count("token", "peak");
  const peak = count("peak");
  if (found.length === 0) return "";
  if (text === 0) return `No context of ${them} is on the same text as one of these ${found.length}.`;
  const start = `${text} of these ${found.length} contexts ${text === 1 ? "is" : "are"} on the same text as one of ${them}`;
  if (token === 0) return `${start}, but the two never fire on the same token.`;
  const where = token < text ? `${token} of them` : text === 1 ? "it" : "all of them";
  const peaks = peak === 0 ? "" : peak === token ? ", which is the peak of both" : `, which is the peak of both in ${peak}`;
  return `${start}; in ${where} both fire on the same token${peaks}.`;
}
