import { clearHiding } from "./actions.ts";
import { hiding } from "./rows.ts";

/** In the place of rows, if there is none: what hides them. */
export function Empty() {
  const names = hiding.value.map(({ label }) => label);
  return (
    <div class="empty" role="status">
      <p>
        No latent fits
        {names.length > 0 && (
          <>
            . {names.length === 1 ? "The filter that hides them" : "The filters that hide them"}:{" "}
            <b>{names.join(", ")}</b>
          </>
        )}
        .
      </p>
      {names.length > 0 && <button onClick={clearHiding}>Remove {names.length === 1 ? "it" : "them"}</button>}
    </div>
  );
}
