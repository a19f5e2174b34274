// One column: all that is known of a latent. Its parts stand in the same rows as those of its neighbours.
import { manifest } from "../data.ts";
import { ContextList } from "./context-list.tsx";
import { Histogram } from "./histogram.tsx";
import { LatentLink, type Open } from "./latent-link.tsx";
import { LensTokens } from "./lens.tsx";
import { MatchTable } from "./match-table.tsx";
import { rate } from "./numbers.ts";
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
      <div class="whose">
        <h3>
          {name} · {column.by ? <LatentLink sae={column.sae} latent={column.latent} open={open} title="Open this latent" /> : column.latent}
        </h3>
        <p class="role">
          {roleOf(column.by)}
          {!Number.isNaN(column.firesPerMillion) && `, ${rate(column.firesPerMillion)} fires per million`}
        </p>
        {column.explanation && <p class="explanation">{column.explanation}</p>}
      </div>
      <section class="matches">
        <MatchTable column={column} open={open} />
      </section>
      <section class="lenses">{behaviour && <Lenses behaviour={behaviour} inBoth={inBoth} />}</section>
      <section class="texts">{behaviour ? <Contexts behaviour={behaviour} owner={`${column.sae}-${column.latent}`} /> : <NoContexts sae={column.sae} />}</section>
      <section class="numbers">
        <Facts facts={column.facts} />
        {behaviour && <Activations behaviour={behaviour} />}
      </section>
    </article>
  );
}

function roleOf(by: ColumnView["by"]): string {
  if (by === null) return "open";
  return by === "both" ? "counterpart" : `counterpart by the ${by} alone`;
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
  if (!lens)
    return (
      <p class="plain">
        Promoted and suppressed tokens were not collected: <code>twinsae contexts</code> finds them where it can load the model.
      </p>
    );
  return (
    <>
      <LensTokens title="Promoted tokens" help="Tokens whose logits the latent's decoder raises most" tokens={lens.promoted} both={inBoth.promoted} />
      <LensTokens title="Suppressed tokens" help="Tokens whose logits the latent's decoder lowers most" tokens={lens.suppressed} both={inBoth.suppressed} />
    </>
  );
}

function Contexts({ behaviour: { contexts, meetings }, owner }: { behaviour: Behaviour; owner: string }) {
  if (contexts.length === 0) return <p class="plain">It has no contexts: it did not fire on any token of the texts.</p>;
  return (
    <>
      {meetings && <p class="meetings" title="Two contexts meet if their windows have tokens in common. Contexts that were not stored are not compared.">{meetings}</p>}
      <ContextList title="strongest contexts" help="One for each text, by the activation at the peak" contexts={contexts.filter((one) => !one.isRandom)} owner={owner} />
      <ContextList
        title="random contexts"
        help="A random sample of all tokens on which it fired, by the activation at the peak"
        contexts={contexts.filter((one) => one.isRandom)}
        owner={owner}
      />
    </>
  );
}

function NoContexts({ sae }: { sae: number }) {
  const { name, path } = manifest().saes[sae];
  return (
    <p class="plain">
      The contexts of {name} were not collected. This command collects them: <code>twinsae contexts {path} --activations STORE</code>
    </p>
  );
}
