// One column: all that is known of a latent. Its parts stand in the same rows as those of its neighbours.
import { manifest } from "../data.ts";
import { ContextList } from "./context-list.tsx";
import { MEETING } from "./context-line.tsx";
import { Histogram } from "./histogram.tsx";
import { LatentLink, type Open } from "./latent-link.tsx";
import { LensTokens } from "./lens.tsx";
import { MatchTable } from "./match-table.tsx";
import type { Meeting } from "./overlap.ts";
import type { Behaviour, ColumnView, DetailView, Fact } from "./view.ts";

interface Props {
  column: ColumnView;
  inBoth: DetailView["inBoth"];
  isInFront: boolean;
  open: Open;
}

/** Draws the column. On a narrow page, the one in front is seen alone. */
export function Column({ column, inBoth, isInFront, open }: Props) {
  const { name } = manifest().saes[column.sae];
  const { behaviour } = column;
  return (
    <article class={isInFront ? "column front" : "column"} aria-label={`latent ${column.latent} of ${name}`}>
      <header>
        <h3>
          {name} · {column.by ? <LatentLink sae={column.sae} latent={column.latent} open={open} title="Open this latent" /> : column.latent}
        </h3>
        <p class="role">{roleOf(column.by)}</p>
        {column.explanation && <p class="explanation">{column.explanation}</p>}
      </header>
      <section class="matches">
        <MatchTable column={column} open={open} />
      </section>
      <section class="numbers">
        <Facts facts={column.facts} />
        {behaviour && <Activations behaviour={behaviour} />}
      </section>
      <section class="lenses">{behaviour && <Lenses behaviour={behaviour} inBoth={inBoth} />}</section>
      <section class="texts">{behaviour ? <Contexts behaviour={behaviour} /> : <NoContexts sae={column.sae} />}</section>
    </article>
  );
}

function roleOf(by: ColumnView["by"]): string {
  if (by === null) return "the open latent";
  return by === "both" ? "its counterpart" : `its counterpart by the ${by} alone`;
}

function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(({ label, help, text }) => (
        <div key={label} title={help}>
          <dt>{label}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function Activations({ behaviour }: { behaviour: Behaviour }) {
  return (
    <div class="activations">
      <h4 title="How often it fired how strongly, on the tokens that the contexts come from; heights are logarithms">Activations</h4>
      {behaviour.histogram.some((count) => count > 0) ? (
        <Histogram counts={behaviour.histogram} end={behaviour.histogramEnd} />
      ) : (
        <p class="plain">It never fired.</p>
      )}
    </div>
  );
}

function Lenses({ behaviour: { lens }, inBoth }: { behaviour: Behaviour; inBoth: DetailView["inBoth"] }) {
  if (!lens) return <p class="plain">The logit lens was not collected.</p>;
  return (
    <>
      <LensTokens title="Promoted tokens" help="Tokens whose logits the latent's decoder raises most" tokens={lens.promoted} both={inBoth.promoted} />
      <LensTokens title="Suppressed tokens" help="Tokens whose logits the latent's decoder lowers most" tokens={lens.suppressed} both={inBoth.suppressed} />
    </>
  );
}

function Contexts({ behaviour: { contexts, meetings } }: { behaviour: Behaviour }) {
  if (contexts.length === 0) return <p class="plain">It has no contexts: it did not fire on any token of the texts.</p>;
  return (
    <>
      {meetings && <Meetings words={meetings} found={new Set(contexts.map(({ meeting }) => meeting))} />}
      <ContextList title="strongest contexts" help="One for each text, by the activation at the peak" contexts={contexts.filter((one) => !one.isRandom)} />
      <ContextList title="random contexts" help="A random sample of all tokens on which it fired, by the activation at the peak" contexts={contexts.filter((one) => one.isRandom)} />
    </>
  );
}

function Meetings({ words, found }: { words: string; found: Set<Meeting> }) {
  const signs = (["peak", "token", "text"] as const).filter((meeting) => found.has(meeting));
  return (
    <p class="meetings">
      {words}{" "}
      {signs.map((meeting) => (
        <small key={meeting}>
          <span class="meeting">{MEETING[meeting].sign}</span> {MEETING[meeting].words}{" "}
        </small>
      ))}
    </p>
  );
}

function NoContexts({ sae }: { sae: number }) {
  const { name, path } = manifest().saes[sae];
  return (
    <p class="plain">
      The contexts of {name} were not collected. This command collects them: <code>twinsae contexts {path} --store STORE</code>
    </p>
  );
}
