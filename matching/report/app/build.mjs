// Builds ../static/app.js and app.css, which are committed; with "tests", what `node --test` runs.
import { build } from "esbuild";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
// Browsers that have light-dark() and DecompressionStream: those of 2024.
const target = ["es2022", "chrome123", "firefox120", "safari17.5"];

function licences() {
  const packages = ["preact", "@preact/signals", "@preact/signals-core"];
  const texts = packages.map(
    (name) => `${name}\n\n${readFileSync(`${here}node_modules/${name}/LICENSE`, "utf8").trim()}`,
  );
  return `/*!\nThis file contains the following packages beside twinsae's own code.\n\n${texts.join("\n\n")}\n*/`;
}

if (process.argv[2] === "tests") {
  await build({
    entryPoints: readdirSync(`${here}tests`).map((name) => `${here}tests/${name}`),
    outdir: `${here}../../../build/web-tests`,
    outExtension: { ".js": ".test.mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".css": "empty" },
    absWorkingDir: here,
  });
} else {
  await build({
    entryPoints: [`${here}src/app.tsx`],
    outfile: `${here}../static/app.js`,
    bundle: true,
    minify: true,
    // A page opened from disk may load classic scripts only.
    format: "iife",
    charset: "utf8",
    jsx: "automatic",
    jsxImportSource: "preact",
    banner: { js: licences() },
    target,
    absWorkingDir: here,
  });
}
