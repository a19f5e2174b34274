// The plot as a file: its axes as text and lines, its points as an image.

import { LEFT, TOP } from "./frame.tsx";
import { save } from "./save.ts";

const STYLES = ["fill", "stroke", "stroke-width", "font-family", "font-size", "fill-opacity"];

export async function savePicture(
  kind: "svg" | "png",
  svg: SVGSVGElement | null,
  canvas: HTMLCanvasElement | null,
): Promise<void> {
  if (!svg || !canvas) return;
  const text = standalone(svg, canvas);
  if (kind === "svg") save("plot.svg", text, "image/svg+xml");
  else save("plot.png", await rasterised(text, svg.clientWidth, svg.clientHeight), "image/png");
}

/** A copy that needs no stylesheet of the page. */
function standalone(svg: SVGSVGElement, canvas: HTMLCanvasElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const originals = svg.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of STYLES) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.removeAttribute("class");
  const make = (name: string, attributes: Record<string, string | number>) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    return element;
  };
  const points = make("image", {
    x: LEFT,
    y: TOP,
    width: canvas.clientWidth,
    height: canvas.clientHeight,
    href: canvas.toDataURL(),
  });
  const ground = make("rect", { width: "100%", height: "100%", fill: getComputedStyle(document.body).backgroundColor });
  copy.prepend(ground, points);
  return new XMLSerializer().serializeToString(copy);
}

const SHARPER = 2;

async function rasterised(svg: string, width: number, height: number): Promise<Blob> {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SHARPER;
  canvas.height = height * SHARPER;
  canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture could not be made."))), "image/png"),
  );
}
