import { useEffect, useRef } from "preact/hooks";
import { manifest } from "./data.ts";
import { KEYS } from "./keys.ts";
import { helpOpen } from "./state.ts";

/** The keys. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current!.showModal();
    else dialog.current!.close();
  }, [helpOpen.value]);
  return (
    <dialog ref={dialog} aria-labelledby="help" onClose={() => (helpOpen.value = false)}>
      <h2 id="help">Help</h2>
      <dl class="keys">
        {KEYS.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              {keys.split("  ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p>
        Drag in the plot to select. All filters combine: a latent is listed if it passes every one. The address holds
        the whole view.
      </p>
      <p class="note">Written by twinsae {manifest().twinsae}.</p>
      <form method="dialog">
        <button>Close</button>
      </form>
    </dialog>
  );
}
