import { render } from "preact";
import "./app.css";
import { receive } from "./chunks.ts";
import { openManifest } from "./data.ts";
import { Detail } from "./detail/Detail.tsx";

(window as unknown as { twinsae: typeof receive }).twinsae = receive;

openManifest().then(() => render(<Detail sae={0} latent={0} other={1} open={() => undefined} />, document.getElementById("app")!));
