// The page's head: whose latents, matched with whose; search; theme and help.

import { chooseBase, chooseOther, cursor, open } from "./actions.ts";
import { isPair, manifest } from "./data.ts";
import { GRID, SEARCH } from "./keys.ts";
import { asked, isWaiting, rows } from "./rows.ts";
import { base, helpOpen, other, query } from "./state.ts";
import { nextTheme, theme } from "./theme.ts";
import { view } from "./view.ts";

export function Header() {
  const { title, saes } = manifest();
  const option = (i: number) => (
    <option key={i} value={i}>
      {saes[i].name}
    </option>
  );
  const all = saes.map((_, i) => i);
  return (
    <header>
      <h1>
        <a href="index.html">{title}</a>
      </h1>
      <div class="pairing">
        <label>
          <span>Latents of </span>
          <select
            aria-label="Latents of"
            value={base.value}
            onChange={(event) => chooseBase(Number(event.currentTarget.value))}
          >
            {all.filter((i) => all.some((j) => isPair(i, j))).map(option)}
          </select>
        </label>
        <label>
          <span>matched with </span>
          <select
            aria-label="matched with"
            value={other.value}
            onChange={(event) => chooseOther(Number(event.currentTarget.value))}
          >
            {all.filter((i) => isPair(base.value, i)).map(option)}
          </select>
        </label>
      </div>
      <Search />
      <Count />
      <div class="tools">
        <button onClick={nextTheme} title="Light, dark, or as the system has it">
          {theme.value === "system" ? "◐" : theme.value === "light" ? "○" : "●"}
          <span class="hidden"> Theme: {theme.value}</span>
        </button>
        <button onClick={() => (helpOpen.value = true)} title="Keys and help ( ? )">
          ?<span class="hidden"> Help</span>
        </button>
      </div>
    </header>
  );
}

function Search() {
  const wanted = asked.value;
  const elsewhere =
    wanted?.kind === "latent" && wanted.sae !== null
      ? manifest().saes.findIndex(({ name }) => name === wanted.sae)
      : -1;
  const canOpen =
    wanted?.kind === "latent" && wanted.latent < manifest().saes[elsewhere < 0 ? base.value : elsewhere].num_latents;
  const enter = () => {
    if (canOpen) open(elsewhere < 0 ? base.peek() : elsewhere, (wanted as { latent: number }).latent);
    else cursor.value = 0;
    document.getElementById(GRID)?.focus();
  };
  return (
    <div class="search">
      <input
        type="search"
        id={SEARCH}
        aria-label="Search tokens and explanations, or #latent"
        placeholder={'token, explanation, "exact" or #123   ( / )'}
        value={query.value}
        onInput={(event) => (query.value = event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Enter" && enter()}
        autocomplete="off"
        spellcheck={false}
      />
      {isWaiting.value && <small role="status">loading texts…</small>}
    </div>
  );
}

function Count() {
  const number = (value: number) => value.toLocaleString("en");
  return (
    <output class="count" id="count">
      <b>{number(rows.value.length)}</b> of {number(view.value?.numLatents ?? 0)}
    </output>
  );
}
