import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** jco, as locked. */
export function installPackages() {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const { devDependencies } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const isInstalled = Object.entries(devDependencies).every(([name, version]) => {
    const manifest = `${folder}/node_modules/${name}/package.json`;
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version;
  });
  if (isInstalled) return;
  const { status, error } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) throw new Error(`npm ci: ${error?.message ?? `exit status ${status}`}`);
}
