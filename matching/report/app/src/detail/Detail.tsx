// A latent beside its counterparts in the other SAEs.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { manifest } from "../data.ts";
import { Column } from "./column.tsx";
import type { Choice } from "./facts.ts";
import { Head } from "./head.tsx";
import type { Open } from "./latent-link.tsx";
import { loadDetail } from "./load.ts";
import { Strip } from "./strip.tsx";
import type { Counterpart, DetailView } from "./view.ts";
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
  const frame = useRef<HTMLElement>(null);
  const isWide = useIsWide(frame);
  // A reader's choice holds until another SAE is chosen for the whole page.
  const choice: Choice = picked?.beside === other ? picked.choice : { sae: other, by: "decoder" };

  useLayoutEffect(() => {
    let isCurrent = true;
    const publish = (loaded: DetailView) => isCurrent && (setView(loaded), setProblem(""));
    loadDetail(sae, latent, choice, isWide ? 2 : 1, publish).catch((error: Error) => isCurrent && setProblem(error.message));
    return () => void (isCurrent = false);
  }, [sae, latent, choice.sae, choice.by, isWide]);

  const isBusy = view?.sae !== sae || view.latent !== latent;
  return (
    <section class="detail" ref={frame} aria-busy={isBusy && !problem} aria-label={`latent ${latent} of ${manifest().saes[sae].name}`}>
      {problem && <p class="problem" role="alert">{problem}</p>}
      {view ? (
        <>
          <Head view={view} neighbours={{ previous: null, next: null }} go={(next) => open(sae, next)} />
          <Strip counterparts={view.counterparts} shown={view.shown} pending={view.pending} choose={(one) => setPicked({ beside: other, choice: one })} />
          <Tabs view={view} front={front} choose={setFront} />
          <div class="columns">
            {view.columns.map((column, at) => (
              <Column key={`${column.sae}-${column.latent}-${at}`} column={column} inBoth={view.inBoth} isInFront={at === Math.min(front, view.columns.length - 1)} open={open} />
            ))}
            {view.shown.filter((one) => one.latent < 0).map((one) => <NoPartner key={one.sae} counterpart={one} />)}
          </div>
        </>
      ) : (
        !problem && <p class="loading" role="status">Loading…</p>
      )}
    </section>
  );
}

/** On a narrow page, buttons that choose which column is seen. */
function Tabs({ view, front, choose }: { view: DetailView; front: number; choose: (at: number) => void }) {
  if (view.columns.length < 2) return null;
  return (
    <div class="tabs" role="group" aria-label="Which latent is seen">
      {view.columns.map(({ sae, latent }, at) => (
        <button key={at} type="button" aria-pressed={at === Math.min(front, view.columns.length - 1)} onClick={() => choose(at)}>
          {manifest().saes[sae].name} · {latent}
        </button>
      ))}
    </div>
  );
}

function NoPartner({ counterpart: { sae } }: { counterpart: Counterpart }) {
  const { name } = manifest().saes[sae];
  return <p class="plain none">{name} has no partner for this latent: it has fewer latents, and they fit others better.</p>;
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
