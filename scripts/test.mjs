// Runs every check of the project and ends with one line: "N passed, N failed". What needs a long build (Rust) runs beside the
// rest. Options: --fast leaves out what starts Waku nodes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const reports = join(root, ".cache", "reports");
const fast = process.argv.includes("--fast");
const rust = join(root, "bindings-rust");
const go = join(root, "bindings-go");
const relay = join(go, "waku", "relay");
const membership = join(go, "waku", "rln");
const wakuNode = join(root, "waku-node");
const rln = join(wakuNode, "rln");
process.env["CHATSDK_COMPONENT"] ??= join(root, ".cache", "component", "chatsdk.component.wasm");
// The set-up builds the library for C; the tests would build it again, with other features of its dependencies.
process.env["CHATSDK_LIBRARY_FOLDER"] ??= join(root, ".cache", "bin");
// The bindings' own live tests start these nodes; without them Go's are skipped, and Rust's ignored.
if (!fast) {
  process.env["WAKU_NODE_BIN"] ??= join(root, ".cache", "bin", "waku-node");
  process.env["WAKU_NODE_RLN_BIN"] ??= join(root, ".cache", "bin", "waku-node-rln");
}
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
let passed = 0;
let failed = 0;

/** What a command printed and how it ended. Output is shown at the end, in one piece: commands run side by side. */
async function run(command, args, { cwd = root, env = {} } = {}) {
  const start = Date.now();
  const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  const [status] = await once(child, "close").catch((error) => {
    output += error.message;
    return [1];
  });
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  return {
    ok: status === 0,
    output,
    title: `${[command, ...args].join(" ")}`,
    end: `exit status ${status}, ${seconds} s`,
  };
}

function show({ title, output, end }, keep = () => true) {
  const lines = output.split("\n").filter(keep);
  console.log(`\n== ${title}\n${lines.join("\n").trimEnd()}\n== ${end}`);
}

/** A command that counts as one test. */
async function check(command, args, options) {
  const result = await run(command, args, options);
  show(result);
  count(result, result.ok ? 1 : 0, result.ok ? 0 : 1);
  return result.ok;
}

/** A command that has failed without a failed test, or has run none, counts as one failure. */
function count({ ok, title }, succeeded, broken) {
  passed += succeeded;
  failed += broken;
  if (succeeded + broken > 0 && (ok || broken > 0)) return;
  console.log(`${title}: ${ok ? "ran no test" : "failed outside of its tests"}`);
  failed++;
}

async function vitest(project) {
  const report = join(reports, `${project}.json`);
  const reporters = ["--reporter", "default", "--reporter", "json", "--outputFile.json", report];
  const result = await run("vitest", ["run", "--project", project, ...reporters]);
  show(result);
  let counts = { numPassedTests: 0, numFailedTests: 0 };
  try {
    counts = JSON.parse(readFileSync(report, "utf8"));
  } catch (error) {
    console.error(`no report of ${project}: ${error.message}`);
  }
  count(result, counts.numPassedTests, counts.numFailedTests);
}

async function goTest(cwd, args) {
  const result = await run("go", ["test", "-json", ...args], { cwd });
  const events = result.output.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line)];
    } catch {
      return line ? [{ Action: "output", Output: `${line}\n` }] : [];
    }
  });
  const ended = (action) => events.filter(({ Action, Test }) => Action === action && Test).length;
  const failures = new Set(
    events.filter(({ Action }) => Action === "fail").map(({ Package, Test }) => `${Package} ${Test}`),
  );
  const output = events
    .filter(({ Action, Package, Test }) => Action === "output" && (!Test || failures.has(`${Package} ${Test}`)))
    .map(({ Output }) => Output)
    .join("");
  show({ ...result, output });
  count(result, ended("pass"), ended("fail"));
}

async function cargoTest(args, cwd) {
  const result = await run("cargo", ["test", "--locked", "--color=never", ...args], { cwd });
  show(result, (line) => !/^\s*(Compiling|Downloaded|Downloading) /.test(line) && !/^test .* \.\.\. ok$/.test(line));
  const totals = [...result.output.matchAll(/^test result: .*? (\d+) passed; (\d+) failed/gm)];
  const sum = (index) => totals.reduce((all, match) => all + Number(match[index]), 0);
  count(result, sum(1), sum(2));
}

const RLN = ["-tags", "gowaku_no_rln,rln"];
const PLAIN = ["-tags", "gowaku_no_rln"];
/** Where the node's tests meet the RLN library. */
const RLN_PACKAGES = [".", "./internal/rlnrelay", "./internal/node"];

/** Long builds on a fresh machine: they run beside the rest. */
async function rustLane() {
  await check("cargo", ["fmt", "--all", "--check"], { cwd: rust });
  const all = ["--workspace", "--features", "chatsdk-agent/rln,chatsdk-c/rln"];
  await check("cargo", ["clippy", "--locked", ...all, "--all-targets", "--", "-D", "warnings"], { cwd: rust });
  // Those that need a node are ignored otherwise.
  await cargoTest([...all, ...(fast ? [] : ["--", "--include-ignored"])], rust);
  await check("cargo", ["fmt", "--check"], { cwd: rln });
  await check("cargo", ["clippy", "--release", "--locked", "--all-targets", "--", "-D", "warnings"], { cwd: rln });
  await cargoTest(["--release"], rln);
}

async function nodeLane() {
  await check("biome", ["ci", "--error-on-warnings", "--colors=off", "--max-diagnostics=30"]);
  const rooms = [
    "abi/gen",
    "abi/generator/src",
    "core/src",
    "bindings-ts/src",
    "conformance/src",
    "bench/src",
    "bench/shard",
    "bench/real",
  ];
  await check("depcruise", [...rooms, "--config", ".dependency-cruiser.cjs"]);
  await check("knip", []);
  await check("tsc", ["-p", "tsconfig.tests.json"]);
  await check("node", ["abi/scripts/generate.mjs", "--check"]);
  await check("node", ["wasm-build/build.mjs", "--check"]);
  await vitest("fast");
}

async function goLane() {
  for (const [cwd, tags] of [
    [wakuNode, PLAIN],
    [rln, RLN],
    [go, []],
    [relay, PLAIN],
    // Without the circuit it says how to build with it.
    [membership, []],
    [membership, RLN],
    [join(root, "examples", "go"), []],
  ]) {
    await check("go", ["vet", ...tags, "./..."], { cwd });
    await goTest(cwd, [...tags, "./..."]);
  }
  await goTest(wakuNode, [...RLN, ...RLN_PACKAGES, "-run", "TestS"]);
}

if (await check("node", ["scripts/setup.mjs", "--tests"])) {
  await Promise.all([rustLane(), nodeLane()]);
  await goLane();
  if (!fast) await vitest("live");
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
