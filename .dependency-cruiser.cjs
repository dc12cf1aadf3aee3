/** Imports point one way: abi <- core <- bindings-ts <- conformance, bench, examples. */
module.exports = {
  forbidden: [
    { name: "core-is-pure", severity: "error", comment: "core imports nothing but noble, protobuf-es and the schemas",
      from: { path: "^core/src" }, to: { pathNot: "^(core/src|abi/gen|node_modules/@noble/|node_modules/@bufbuild/protobuf)" } },
    { name: "abi-imports-protobuf-only", severity: "error", from: { path: "^abi/gen/" }, to: { pathNot: "^(abi/gen|node_modules/@bufbuild/protobuf)" } },
    { name: "bindings-know-no-tests", severity: "error", from: { path: "^bindings-ts/src" }, to: { path: "^(conformance|bench|examples)/" } },
    { name: "core-rooms-do-not-know-the-machine", severity: "error", comment: "crypto, ratchet, handshake, ... are used by the machine, never the other way",
      from: { path: "^core/src/(crypto|ratchet|handshake|invite|envelope|reliability|segmentation|content|vault)/" }, to: { path: "^core/src/machine/" } },
    { name: "ratchet-knows-no-message", severity: "error", from: { path: "^core/src/ratchet/" }, to: { path: "^core/src/(reliability|segmentation|content|handshake|invite)/" } },
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
  ],
  options: { doNotFollow: { path: "node_modules" }, tsPreCompilationDeps: true, tsConfig: { fileName: "tsconfig.json" }, enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["source", "import", "default", "types"] } },
};
