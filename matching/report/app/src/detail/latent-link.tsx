// A link to another latent: it opens in place, and its address can be copied or opened in a new tab.
import type { ComponentChildren } from "preact";
import { manifest } from "../data.ts";

export type Open = (sae: number, latent: number) => void;

interface Props {
  sae: number;
  latent: number;
  open: Open;
  title?: string;
  children?: ComponentChildren;
}

/** Draws a link to the latent; its text is the latent's number unless there is another one. */
export function LatentLink({ sae, latent, open, title, children }: Props) {
  const follow = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(sae, latent);
  };
  return (
    <a class="latent" href={addressOf(sae, latent)} title={title} onClick={follow}>
      {children ?? latent}
    </a>
  );
}

/** The address of a view of the latent alone. */
export function addressOf(sae: number, latent: number): string {
  return `#base=${encodeURIComponent(manifest().saes[sae].name)}&latent=${latent}`;
}
