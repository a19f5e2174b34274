// One context: a line with the peak always at the same place, which unfolds to the whole stored window.
import { activation } from "./numbers.ts";
import { SIGNS, type Meeting } from "./overlap.ts";
import { visible } from "./tokens.ts";
import type { ContextView } from "./view.ts";
import type { Piece } from "./windows.ts";

const MEETING: Record<Meeting, string | undefined> = {
  none: undefined,
  text: "the other latent has a context on this text",
  token: "both fire on the same token",
  peak: "the peak of both",
};

interface Props {
  context: ContextView;
  unfolded: boolean;
  /** One line of a list can be reached by Tab, the others by the arrow keys. */
  isTabStop: boolean;
  toggle: (event: MouseEvent) => void;
}

/** Draws the context as an item of a list. */
export function ContextLine({ context, unfolded, isTabStop, toggle }: Props) {
  const { line, peak, meeting } = context;
  const words = MEETING[meeting];
  const draw = (pieces: Piece[]) => pieces.map((piece, at) => <Text key={at} piece={piece} unfolded={unfolded} />);
  return (
    <li class={unfolded ? "context unfolded" : "context"} onClick={toggle}>
      <button type="button" aria-expanded={unfolded} aria-label={`peak ${activation(peak)}, whole context`} tabIndex={isTabStop ? 0 : -1}>
        {activation(peak)}
      </button>
      <span class="meeting" title={words} role={words ? "img" : undefined} aria-label={words}>{SIGNS[meeting]}</span>
      {line === null ? (
        <span class="text waiting" />
      ) : (
        <span class="text">
          <span class="before"><span>{draw(line.before)}</span></span>
          <span class="after"><Text piece={line.peak} unfolded={unfolded} isPeak />{draw(line.after)}</span>
        </span>
      )}
    </li>
  );
}

function Text({ piece, unfolded, isPeak }: { piece: Piece; unfolded: boolean; isPeak?: boolean }) {
  const text = visible(piece.text, unfolded);
  if (piece.step === 0 && !isPeak) return <>{text}</>;
  return <mark class={`step${piece.step}${isPeak ? " peak" : ""}`} title={activation(piece.activation)}>{text}</mark>;
}
