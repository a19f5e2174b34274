// The contexts of a latent: the strongest ones, then random ones.
import { useRef, useState } from "preact/hooks";
import { ContextLine } from "./context-line.tsx";
import type { ContextView } from "./view.ts";

/** Draws a list of contexts with its heading. The list is one tab stop; arrow keys go from line to line. */
export function ContextList({ title, help, contexts }: { title: string; help: string; contexts: ContextView[] }) {
  const [unfolded, setUnfolded] = useState<ReadonlySet<number>>(new Set());
  const [tabStop, setTabStop] = useState(0);
  const list = useRef<HTMLOListElement>(null);
  if (contexts.length === 0) return null;

  const toggle = (at: number) => {
    // A drag that selects text ends in a click, which is not meant to fold the text away.
    if (getSelection()?.type === "Range") return;
    setUnfolded((before) => {
      const next = new Set(before);
      if (!next.delete(at)) next.add(at);
      return next;
    });
    setTabStop(at);
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = Math.min(contexts.length - 1, Math.max(0, tabStop + step));
    setTabStop(at);
    list.current!.querySelectorAll("button")[at].focus();
  };
  return (
    <>
      <h4 title={help}>
        {contexts.length} {title}
      </h4>
      <ol class="contexts" ref={list} onKeyDown={move}>
        {contexts.map((context, at) => (
          <ContextLine key={at} context={context} unfolded={unfolded.has(at)} isTabStop={at === tabStop} toggle={() => toggle(at)} />
        ))}
      </ol>
    </>
  );
}
