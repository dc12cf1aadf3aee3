// The guest's TypeScript as one script, and what went into it.
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { readSchema } from "./schema.mjs";

const guest = (name) => fileURLToPath(new URL(`guest/${name}`, import.meta.url));

/** @param crypto - "noble" puts the primitives in JavaScript into the bundle. */
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
    // TypeScript sources of the project's packages.
    conditions: crypto === "noble" ? ["noble", "source"] : ["source"],
    define: Object.fromEntries(Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)])),
    plugins: crypto === "noble" ? [nativeProtobuf()] : [nativeProtobuf(), nativeKeccak],
  });
  const [output] = Object.values(result.metafile.outputs);
  const sizes = Object.entries(output.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput]);
  return { source: result.outputFiles[0].contents, sizes: Object.fromEntries(sizes.filter(([, bytes]) => bytes > 0)) };
}

/** Throws if a bundle that is to use the intrinsics holds any of noble's primitives; its byte helpers are used. */
export function requireNoPrimitives(sizes) {
  const primitives = Object.keys(sizes).filter(
    (path) => (path.includes("@noble/") && !path.endsWith("@noble/hashes/utils.js")) || path.endsWith("/noble.ts"),
  );
  if (primitives.length > 0) throw new Error(`the bundle holds primitives in JavaScript: ${primitives.join(", ")}`);
}

/** protobuf-es, and the modules that it generates, in the plugin's native code. */
function nativeProtobuf() {
  const { table, source } = readSchema();
  return {
    name: "native-protobuf",
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^@bufbuild\/protobuf$/ }, () => ({ path: guest("protobuf.ts") }));
      onResolve({ filter: /^chatsdk:schema$/ }, () => ({ path: "schema", namespace: "chatsdk" }));
      onLoad({ filter: /.*/, namespace: "chatsdk" }, () => ({
        // Read and forgotten: as literals the tables would stay in the interpreter's heap.
        contents: `export const messages = () => JSON.parse(${JSON.stringify(JSON.stringify(table))});`,
      }));
      onLoad({ filter: /\/abi\/gen\/\w+_pb\.ts$/ }, ({ path }) => ({
        contents: source(basename(path, "_pb.ts")),
      }));
    },
  };
}

/** The core takes one primitive from elsewhere than its `Crypto`. */
const nativeKeccak = {
  name: "native-keccak",
  setup({ onResolve }) {
    onResolve({ filter: /^@noble\/hashes\/sha3\.js$/ }, ({ importer }) =>
      importer.includes("node_modules") ? undefined : { path: guest("keccak.ts") },
    );
  },
};
