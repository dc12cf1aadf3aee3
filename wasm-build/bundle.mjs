// The guest's TypeScript as one script, and what went into it.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The core takes one primitive from elsewhere than its `Crypto`. */
const nativeKeccak = {
  name: "native-keccak",
  setup({ onResolve }) {
    const path = fileURLToPath(new URL("guest/keccak.ts", import.meta.url));
    onResolve({ filter: /^@noble\/hashes\/sha3\.js$/ }, ({ importer }) =>
      importer.includes("node_modules") ? undefined : { path },
    );
  },
};

/** Conditions of the packages' exports: TypeScript sources. `noble` selects the primitives in JavaScript. */
export async function bundle(entry, { crypto = "intrinsics", define = {} } = {}) {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    minify: true,
    legalComments: "none",
    logLevel: "warning",
    conditions: crypto === "noble" ? ["noble", "source"] : ["source"],
    plugins: crypto === "noble" ? [] : [nativeKeccak],
    define: Object.fromEntries(Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)])),
  });
  const [output] = Object.values(result.metafile.outputs);
  const sizes = Object.entries(output.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput]);
  return { source: result.outputFiles[0].contents, sizes: Object.fromEntries(sizes.filter(([, bytes]) => bytes > 0)) };
}

/** Throws if a bundle that is to use the intrinsics holds any of noble's primitives; its byte helpers are used. */
export function requireNoPrimitives(sizes) {
  const primitives = Object.keys(sizes).filter(
    (path) => (path.includes("@noble/") && !/@noble\/hashes\/(esm\/)?utils\.js$/.test(path)) || path.endsWith("/noble.ts"),
  );
  if (primitives.length > 0) throw new Error(`the bundle holds primitives in JavaScript: ${primitives.join(", ")}`);
}
