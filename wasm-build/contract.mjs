// What the module says of itself.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = fileURLToPath(new URL("..", import.meta.url));

/** SHA-256 of the contract's own descriptors without comments, ordered by file name. */
function contractHash() {
  const { status, stdout, stderr, error } = spawnSync(
    `${root}node_modules/.bin/buf`,
    ["build", "--exclude-source-info", "--as-file-descriptor-set", "-o", "-#format=binpb"],
    { cwd: `${root}abi`, maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`buf build: ${error?.message ?? stderr}`);
  const set = fromBinary(FileDescriptorSetSchema, stdout);
  set.file = set.file.filter((file) => !file.name.startsWith("google/")).sort((a, b) => (a.name < b.name ? -1 : 1));
  return createHash("sha256").update(toBinary(FileDescriptorSetSchema, set)).digest("hex");
}

/** Values of the constants that guest/core-module.ts declares. */
export function constants() {
  const { version } = JSON.parse(readFileSync(`${root}core/package.json`, "utf8"));
  return { CONTRACT_VERSION: 1, CONTRACT_HASH: contractHash(), CORE_VERSION: version };
}
