// Chunks: scripts of one call, twinsae(NAME, BASE64), that carry arrays and facts.
// A page opened from disk may not fetch files, but it may load scripts. The format is described in
// ../../latents/chunks.py, which writes them.

export type Numbers = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

export interface Chunk<Facts = unknown> {
  arrays: Record<string, Numbers>;
  facts: Facts;
}

const TYPES = {
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
};

interface Header {
  arrays: { name: string; dtype: keyof typeof TYPES; shape: number[] }[];
  facts: unknown;
}

/** Returns the arrays as views into the content, without copying. */
export function unpack<Facts>(content: ArrayBuffer): Chunk<Facts> {
  let at = 4 + new DataView(content).getUint32(0, true);
  const header: Header = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, at - 4)));
  const arrays: Record<string, Numbers> = {};
  for (const { name, dtype, shape } of header.arrays) {
    const array = new TYPES[dtype](
      content,
      at,
      shape.reduce((size, n) => size * n, 1),
    );
    arrays[name] = array;
    at += Math.ceil(array.byteLength / 8) * 8;
  }
  return { arrays, facts: header.facts as Facts };
}

async function decode(base64: string): Promise<ArrayBuffer> {
  const bytes = fromBase64(base64);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  // Browsers of before 2025 lack Uint8Array.fromBase64.
  const quick = (Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  if (quick) return quick.call(Uint8Array, text);
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

interface Waiting {
  /** What the chunk's script carries. */
  script: Promise<string>;
  arrived: (base64: string) => void;
  failed: (error: Error) => void;
  /** Unpacked when it is first asked for: the page names chunks that the first view can do without. */
  chunk?: Promise<Chunk>;
}
const chunks = new Map<string, Waiting>();

function expect(name: string): { waiting: Waiting; isNew: boolean } {
  const known = chunks.get(name);
  if (known) return { waiting: known, isNew: false };
  let arrived!: (base64: string) => void;
  let failed!: (error: Error) => void;
  const script = new Promise<string>((resolve, reject) => ((arrived = resolve), (failed = reject)));
  const waiting = { script, arrived, failed };
  chunks.set(name, waiting);
  return { waiting, isNew: true };
}

/** Called by each chunk's script. */
export function receive(name: string, base64: string): void {
  expect(name).waiting.arrived(base64);
}

/** Loads the chunk data/NAME.js once, and returns it again at each later call; rejects if there is none. */
export function load<Facts>(name: string): Promise<Chunk<Facts>> {
  const { waiting, isNew } = expect(name);
  // The page itself names the first chunks; their scripts may still be under way.
  if (isNew && !document.querySelector(`script[src="data/${name}.js"]`)) {
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onerror = () => {
      chunks.delete(name);
      waiting.failed(new Error(`data/${name}.js could not be loaded.`));
    };
    document.head.append(script);
  }
  waiting.chunk ??= waiting.script.then(decode).then((content) => unpack(content));
  return waiting.chunk as Promise<Chunk<Facts>>;
}
