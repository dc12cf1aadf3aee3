// Runs every check of the project, one after the other, and ends with one line: "N passed, N failed".
// Options: --fast leaves out what starts Waku nodes.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const reports = join(root, ".cache", "reports");
const fast = process.argv.includes("--fast");
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
let passed = 0;
let failed = 0;

function run(command, args, cwd = root) {
  const start = Date.now();
  console.log(`\n== ${[command, ...args].join(" ")}`);
  const { status } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  console.log(`== exit status ${status}, ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return status === 0;
}

/** A command that counts as one test. */
function check(command, args, cwd) {
  if (run(command, args, cwd)) passed++;
  else failed++;
}

function vitest(project) {
  const report = join(reports, `${project}.json`);
  const ok = run("vitest", [
    "run",
    "--project",
    project,
    "--reporter",
    "default",
    "--reporter",
    "json",
    "--outputFile.json",
    report,
  ]);
  try {
    const { numPassedTests, numFailedTests, numTotalTests } = JSON.parse(readFileSync(report, "utf8"));
    passed += numPassedTests;
    failed += numFailedTests;
    if (!ok && numFailedTests === 0) failed++;
    if (numTotalTests === 0) failed++;
  } catch (error) {
    console.error(`no report of ${project}: ${error.message}`);
    failed++;
  }
}

check("node", ["scripts/setup.mjs"]);
check("biome", ["ci", "--error-on-warnings", "--colors=off", "--max-diagnostics=30"]);
check("depcruise", [
  "abi/gen",
  "core/src",
  "bindings-ts/src",
  "conformance/src",
  "bench/src",
  "--config",
  ".dependency-cruiser.cjs",
]);
check("knip", []);
check("tsc", ["-p", "tsconfig.tests.json"]);
check("node", ["scripts/generated.mjs"]);
vitest("fast");
check("go", ["vet", "-tags", "gowaku_no_rln", "./..."], join(root, "waku-node"));
check("go", ["test", "-tags", "gowaku_no_rln", "./..."], join(root, "waku-node"));
if (!fast) vitest("live");

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
