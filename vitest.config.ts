import { defineConfig } from "vitest/config";

const shared = {
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source", "node", "import", "default"] } },
};

/** `fast` needs no network and no other process; `live` starts real Waku nodes and takes minutes. */
export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        test: {
          name: "fast",
          include: ["{core,bindings-ts,conformance,bench,abi,wasm-build}/test/**/*.test.ts"],
          testTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          name: "live",
          include: ["{bindings-ts,conformance,examples,bench}/live/**/*.test.ts"],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
