// A latent beside its counterparts in the other SAEs.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { manifest } from "../data.ts";
import { Column } from "./column.tsx";
import type { Choice } from "./facts.ts";
import { Head } from "./head.tsx";
import type { Open } from "./latent-link.tsx";
import { loadDetail } from "./load.ts";
import { Strip } from "./strip.tsx";
import type { DetailView } from "./view.ts";
import "./detail.css";

// Two columns of counterparts need this width, in pixels.
const WIDE = 1500;

interface Props {
  sae: number;
  latent: number;
  /** The SAE whose counterpart stands first. */
  other: number;
  open: Open;
}

/** Draws the detail of a latent. While another one is loaded, the last one stays. */
export function Detail({ sae, latent, other, open }: Props) {
  const [view, setView] = useState<DetailView | null>(null);
  const [problem, setProblem] = useState("");
  const [picked, setPicked] = useState<{ beside: number; choice: Choice } | null>(null);
  const [front, setFront] = useState(0);
  const frame = useRef<HTMLDivElement>(null);
  const isWide = useIsWide(frame);
  // A reader's choice holds until another SAE is chosen for the whole page.
  const choice: Choice = picked?.beside === other ? picked.choice : { sae: other, by: "decoder" };

  useLayoutEffect(() => {
    let isCurrent = true;
    const show = (loaded: DetailView | null, message: string) => {
      if (!isCurrent) return;
      setView(loaded);
      setProblem(message);
    };
    loadDetail(sae, latent, choice, isWide ? 2 : 1, (loaded) => show(loaded, "")).catch((error: Error) => show(null, error.message));
    return () => void (isCurrent = false);
  }, [sae, latent, choice.sae, choice.by, isWide]);

  const choose = (one: Choice) => {
    setPicked({ beside: other, choice: one });
    setFront(1);
  };
  const inFront = Math.min(front, (view?.columns.length ?? 1) - 1);
  const isBusy = view?.sae !== sae || view.latent !== latent;
  return (
    <div class="beside" ref={frame} aria-busy={isBusy && !problem}>
      {problem && <p class="problem" role="alert">{problem}</p>}
      {view ? (
        <>
          <Head view={view} />
          <Strip counterparts={view.counterparts} shown={view.shown} pending={view.pending} choose={choose} />
          <Tabs view={view} inFront={inFront} choose={setFront} />
          <div class="columns">
            {view.columns.map((column, at) => (
              <Column key={at} column={column} inBoth={view.inBoth} isInFront={at === inFront} open={open} />
            ))}
          </div>
        </>
      ) : (
        !problem && <p class="loading" role="status">Loading…</p>
      )}
    </div>
  );
}

/** On a narrow page, buttons that choose which column is seen. */
function Tabs({ view, inFront, choose }: { view: DetailView; inFront: number; choose: (at: number) => void }) {
  if (view.columns.length < 2) return null;
  return (
    <div class="sides" role="group" aria-label="Which latent is seen">
      {view.columns.map(({ sae, latent }, at) => (
        <button key={at} type="button" aria-pressed={at === inFront} onClick={() => choose(at)}>
          {manifest().saes[sae].name} · {latent}
        </button>
      ))}
    </div>
  );
}

/** Follows whether the frame is wide enough for a third column. */
function useIsWide(frame: { current: HTMLElement | null }): boolean {
  const [isWide, setIsWide] = useState(false);
  useLayoutEffect(() => {
    setIsWide(frame.current!.clientWidth >= WIDE);
    const observer = new ResizeObserver(([entry]) => setIsWide(entry.contentRect.width >= WIDE));
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  return isWide;
}
