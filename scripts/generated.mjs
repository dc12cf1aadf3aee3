// Generates everything that is generated once more, elsewhere, and compares it with what is checked in.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const abi = fileURLToPath(new URL("../abi/", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "generated-"));
try {
  run("buf", ["lint"]);
  run("buf", ["generate", "--output", fresh]);
  const [committed, made] = [join(abi, "gen"), join(fresh, "gen")].map((folder) =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")])),
  );
  const names = new Set([...Object.keys(committed), ...Object.keys(made)]);
  const different = [...names].filter((name) => committed[name] !== made[name]);
  if (different.length > 0) {
    console.error(`abi/gen differs from what "npm run generate" makes: ${different.join(", ")}`);
    process.exitCode = 1;
  } else console.log(`${names.size} generated files are as checked in`);
} finally {
  rmSync(fresh, { recursive: true });
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: abi, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit status ${status}`);
}
