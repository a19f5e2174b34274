// How sure is a match: in words, from its cosine, its lead and, if there, the bounds of `twinsae certainty`.
import { cosine } from "./numbers.ts";

/** A latent's match by one side, decoder or encoder. */
export interface Match {
  /** The matched latent of the other SAE, -1 if none. */
  partner: number;
  cosine: number;
  /** The nearest latent of the other SAE, whether matched to this one or not. */
  best: number;
  bestCosine: number;
  /** Matched cosine minus the best cosine with any other latent of the other SAE; negative if that one is closer. */
  lead: number;
  /** The latent's price and its partner's: they add up to the cosine. */
  prices: [number, number];
  /** Bounds on how much the optimum falls without this pair, if they are known. */
  fall: [number, number] | null;
}

/** A word, a plain sentence, and one that explains it. */
export interface Words {
  mood: "good" | "doubtful" | "poor";
  verdict: string;
  sentence: string;
  title: string;
}

/** The other SAE's name, and what its cosines are compared with. */
export interface Yardstick {
  them: string;
  /** A pair is shared above it. */
  threshold: number;
  /** About the best cosine with as many random directions. */
  chanceFloor: number;
}

// A lead below the first is a tie in all but name; one below the second is small beside the scatter of cosines.
const TIE = 0.02;
const CLEAR = 0.1;

/** Compares the match with what else there was. */
export function sureness(match: Match, { them, threshold, chanceFloor }: Yardstick): Words {
  const { lead } = match;
  const title = `The lead is the matched cosine minus the best cosine with any other latent of ${them}.`;
  if (match.partner < 0)
    return {
      mood: "poor",
      verdict: "No partner",
      sentence: `${them} has fewer latents, and the nearest one, ${match.best} (cosine ${cosine(match.bestCosine)}), is matched to another one.`,
      title: `The best matching uses all latents of ${them} for others.`,
    };
  if (match.cosine <= chanceFloor)
    return {
      mood: "poor",
      verdict: "No counterpart",
      sentence: "random directions come as close.",
      title: `The best of as many random directions has a cosine of about ${cosine(chanceFloor)}.`,
    };
  if (lead < 0)
    return {
      mood: "doubtful",
      verdict: "Gives way",
      sentence: `latent ${match.best} is closer by ${cosine(-lead)}, but is matched to another one.`,
      title: `The matching makes the sum of all cosines as large as can be, so a single pair may give way. ${title}`,
    };
  if (lead < TIE) return { mood: "doubtful", verdict: "Nearly a tie", sentence: `another latent comes within ${cosine(lead)}.`, title };
  const sentence = `all others are ${cosine(lead)} or more behind.`;
  if (match.cosine <= threshold) return { mood: "doubtful", verdict: "Weak", sentence: `the cosine is not above ${threshold}, though ${sentence}`, title };
  if (lead < CLEAR) return { mood: "doubtful", verdict: "Narrow", sentence, title };
  return { mood: "good", verdict: "Clear", sentence, title };
}

/** Says what the whole matching would lose without the pair, or nothing if that is not known. */
export function need({ partner, fall }: Match): string {
  if (fall === null || partner < 0) return "";
  const [low, high] = fall.map(cosine);
  return `Losing the pair costs ${low === high ? low : `${low} to ${high}`}.`;
}
