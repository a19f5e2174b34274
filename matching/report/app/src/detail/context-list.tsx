// The contexts of a latent: the strongest ones, then random ones.
import { useRef, useState } from "preact/hooks";
import { ContextLine } from "./context-line.tsx";
import type { ContextView } from "./view.ts";

interface Props {
  title: string;
  help: string;
  contexts: ContextView[];
  /** Names the latent: the lines of another one are all folded. */
  owner: string;
}

/** Draws a list of contexts with its heading. The list is one tab stop; arrow keys go from line to line. */
export function ContextList({ title, help, contexts, owner }: Props) {
  const [state, setState] = useState({ owner, unfolded: new Set<number>(), tabStop: 0 });
  const list = useRef<HTMLOListElement>(null);
  if (contexts.length === 0) return null;
  const { unfolded, tabStop } = state.owner === owner ? state : { unfolded: new Set<number>(), tabStop: 0 };

  const toggle = (at: number, event: MouseEvent) => {
    // A drag that selects text ends in a click, which is not meant to fold the text away. A key's click has detail 0.
    if (event.detail > 0 && getSelection()?.type === "Range") return;
    const next = new Set(unfolded);
    if (!next.delete(at)) next.add(at);
    setState({ owner, unfolded: next, tabStop: at });
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = Math.min(contexts.length - 1, Math.max(0, tabStop + step));
    setState({ owner, unfolded, tabStop: at });
    list.current!.querySelectorAll("button")[at].focus();
  };
  return (
    <>
      <h4 title={help}>
        {contexts.length} {title}
      </h4>
      <ol class="contexts" ref={list} onKeyDown={move}>
        {contexts.map((context, at) => (
          <ContextLine key={at} context={context} unfolded={unfolded.has(at)} isTabStop={at === tabStop} toggle={(event) => toggle(at, event)} />
        ))}
      </ol>
    </>
  );
}
