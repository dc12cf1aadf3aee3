// Brings everything the project's commands need: npm packages (Node 22 among them), the compiled packages, the service node.
// Each part is keyed by a hash of what it is made from, and made again only when that changes. Runs on Node 20 and later.
// Options: --tests also builds what the tests alone need: the programs through which they drive the Go and Rust bindings, the service node with
// RLN, the component.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache");
const skipped = new Set(["node_modules", "dist", ".cache", ".git", "target"]);

function run(command, args, { cwd = root, env = {} } = {}) {
  const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}`;
  const result = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: path, ...env },
  });
  if (result.error) throw new Error(`${command}: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: exit status ${result.status}`);
}

function filesUnder(path) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full)
    .filter((name) => !skipped.has(name))
    .sort()
    .flatMap((name) => filesUnder(join(path, name)));
}

function hashOf(paths) {
  const hash = createHash("sha256");
  for (const path of paths.flatMap(filesUnder))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  return hash.digest("hex");
}

function step(name, { inputs, outputs, make }) {
  const stamp = join(cache, "stamps", name);
  const hash = hashOf(inputs);
  const made =
    existsSync(stamp) &&
    readFileSync(stamp, "utf8") === hash &&
    outputs.every((output) => existsSync(join(root, output)));
  if (made) return;
  const start = Date.now();
  process.stderr.write(`setup: ${name} ...\n`);
  make();
  mkdirSync(join(cache, "stamps"), { recursive: true });
  writeFileSync(stamp, hash);
  process.stderr.write(`setup: ${name} done in ${Math.round((Date.now() - start) / 1000)} s\n`);
}

const manifests = [
  "package.json",
  "package-lock.json",
  "abi/package.json",
  "abi/generator/package.json",
  "core/package.json",
  "bindings-ts/package.json",
  "conformance/package.json",
  "bench/package.json",
  "examples",
].flatMap((path) => (path === "examples" ? filesUnder(path).filter((file) => file.endsWith("package.json")) : [path]));

step("npm packages", {
  inputs: manifests,
  outputs: ["node_modules/.bin/node", "node_modules/.bin/tsc"],
  make: () => run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]),
});

step("service node", {
  inputs: ["waku-node"],
  outputs: [".cache/bin/waku-node"],
  make: () =>
    run("go", ["build", "-trimpath", "-tags", "gowaku_no_rln", "-o", join(cache, "bin", "waku-node"), "."], {
      cwd: join(root, "waku-node"),
    }),
});

step("compiled packages", {
  inputs: [
    "tsconfig.json",
    "abi/gen",
    "abi/tsconfig.json",
    "core/src",
    "core/tsconfig.json",
    "bindings-ts/src",
    "bindings-ts/tsconfig.json",
    "node_modules/typescript/package.json",
  ],
  outputs: ["abi/dist/host_pb.js", "core/dist/index.js", "bindings-ts/dist/index.js"],
  make: () => run("tsc", ["-b", "abi", "core", "bindings-ts"]),
});

if (process.argv.includes("--tests")) {
  step("agent of the Go binding", {
    inputs: ["bindings-go"],
    outputs: [".cache/bin/agent-go"],
    make: () =>
      run("go", ["build", "-trimpath", "-o", join(cache, "bin", "agent-go"), "./internal/agent"], {
        cwd: join(root, "bindings-go"),
        env: { CGO_ENABLED: "0" },
      }),
  });

  const library = process.platform === "darwin" ? "libchatsdk.dylib" : "libchatsdk.so";
  step("agents of the Rust binding, and its library for C", {
    inputs: [
      "bindings-rust",
      "examples/rust",
      "waku-node/rln/src",
      "waku-node/rln/Cargo.toml",
      "waku-node/rln/testdata",
    ],
    outputs: [".cache/bin/agent-rust", ".cache/bin/agent-rust-rln", `.cache/bin/${library}`],
    make() {
      const target = process.env.CARGO_TARGET_DIR ?? join(root, "bindings-rust", "target");
      mkdirSync(join(cache, "bin"), { recursive: true });
      // With the tests: for the agent alone cargo would make the dependencies a second time, with other features.
      const selection = ["--workspace", "--tests", "--lib", "--bin", "chatsdk-agent"];
      for (const [name, features] of [
        ["agent-rust", []],
        ["agent-rust-rln", ["--features", "chatsdk-agent/rln,chatsdk-c/rln"]],
      ]) {
        run("cargo", ["build", "--locked", ...selection, ...features], {
          cwd: join(root, "bindings-rust"),
          env: { CARGO_TARGET_DIR: target },
        });
        copyFileSync(join(target, "debug", "chatsdk-agent"), join(cache, "bin", name));
      }
      copyFileSync(join(target, "debug", library), join(cache, "bin", library));
    },
  });

  /** Go links a changed C library again only if its flags changed. */
  const withRln = (tags) => {
    const library = readFileSync(join(cache, "rln", "target", "release", "libchat_rln.a"));
    const build = createHash("sha1").update(library).digest("hex");
    return ["-trimpath", "-tags", tags, `-ldflags=-extldflags=-Wl,--build-id=0x${build}`];
  };

  step("service node with RLN", {
    inputs: ["waku-node"],
    outputs: [
      ".cache/bin/waku-node-rln",
      ".cache/rln/circuit/rln_final.zkey",
      ".cache/rln/target/release/libchat_rln.a",
    ],
    make() {
      const crate = join(root, "waku-node", "rln");
      // Its target folder is set by a file in the crate, which cargo reads from there alone.
      run("cargo", ["build", "--release", "--locked"], { cwd: crate });
      run("node", [join(crate, "circuit", "extract.mjs"), join(cache, "rln", "circuit")]);
      run("go", ["build", ...withRln("gowaku_no_rln,rln"), "-o", join(cache, "bin", "waku-node-rln"), "."], {
        cwd: join(root, "waku-node"),
      });
    },
  });

  step("agent of the Go binding with RLN", {
    inputs: ["bindings-go", "waku-node/rln"],
    outputs: [".cache/bin/agent-go-rln"],
    make: () =>
      run("go", ["build", ...withRln("rln"), "-o", join(cache, "bin", "agent-go-rln"), "./internal/agent"], {
        cwd: join(root, "bindings-go", "waku", "rln"),
        env: { CGO_ENABLED: "1" },
      }),
  });

  step("component", {
    inputs: ["wasm-build/component", "wasm-build/wasm-sections.mjs", "abi/wit", "bindings-rust/chatsdk/module"],
    outputs: [
      ".cache/component/chatsdk.component.wasm",
      "wasm-build/component/node_modules/@bytecodealliance/jco-transpile/package.json",
    ],
    make: () => run("node", ["wasm-build/component/build.mjs"]),
  });
}
