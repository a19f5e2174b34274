// Tokens that a latent promotes and suppresses: the logit lens.
import { number } from "./numbers.ts";
import { visible } from "./tokens.ts";
import type { LensToken } from "./view.ts";

/** Draws a list of tokens; those in `both` are marked. */
export function LensTokens({ title, help, tokens, both }: { title: string; help: string; tokens: LensToken[]; both: Set<number> }) {
  return (
    <div class="lens">
      <h4 title={help}>{title}</h4>
      <ul>
        {tokens.map(({ token, text, logit }) => {
          const isShared = both.has(token);
          return (
            <li key={token} class={isShared ? "both" : undefined} title={`${number(logit, 2)}${isShared ? ", in both columns" : ""}`}>
              <TokenText text={text} />
              {isShared && <span class="unseen"> (in both)</span>}
            </li>
          );
        })}
      </ul>
    </div>
  );
}

/** Shows a space at a token's start, which tells a word's beginning from its middle. */
export function TokenText({ text }: { text: string }) {
  const shown = visible(text);
  return shown.startsWith(" ") ? <><span class="space">␣</span>{shown.slice(1)}</> : <>{shown}</>;
}
