import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [target, seconds = "60"] = process.argv.slice(2);
if (target === undefined || !(Number(seconds) > 0)) {
  console.error('usage: node conformance/fuzz/run.mjs "<target>|all" [seconds a target, default 60]');
  process.exit(2);
}
const root = fileURLToPath(new URL("../..", import.meta.url));
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const env = { ...process.env, FUZZ_SECONDS: seconds, ...(target !== "all" && { FUZZ_TARGET: target }) };
const { status } = spawnSync(
  process.execPath,
  [vitest, "run", "--project", "fast", "conformance/test/fuzz.test.ts", "-t", `for ${seconds} s`],
  { cwd: root, env, stdio: "inherit" },
);
process.exit(status ?? 1);
