// What compiles Rust and C to wasm32-wasip1, from registries alone: rustc as installed, its standard library's sources from
// Debian, a C compiler with the WASI C library and a libclang (for bindgen) from PyPI.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const RUST = "1.95.0";
const HOST = "x86_64-unknown-linux-gnu";
const here = fileURLToPath(new URL(".", import.meta.url));

/** Runs a command; its output goes to standard error, or is returned with `capture`. Throws if it fails. */
export function run(command, args, { cwd, env = {}, capture = false } = {}) {
  const stdio = ["ignore", capture ? "pipe" : 2, capture ? "pipe" : 2];
  const result = spawnSync(command, args, { cwd, stdio, encoding: "utf8", env: { ...process.env, ...env } });
  if (result.error) throw new Error(`${command}: ${result.error.message}`);
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(" ")}: exit status ${result.status}\n${result.stderr ?? ""}`);
  return capture ? `${result.stdout}${result.stderr}` : "";
}

/** Prepares everything under `folder`, where it stays for the next time. Returns cargo's arguments and environment. */
export function prepareToolchain(folder) {
  mkdirSync(join(folder, "bin"), { recursive: true });
  const packages = pythonPackages(folder);
  const zig = zigCommands(folder);
  const sysroot = standardLibrary(folder, zig);
  const selfContained = join(sysroot, "lib/rustlib/wasm32-wasip1/lib/self-contained");
  const include = join(packages, "ziglang/lib");
  const remap = (from, to) => `--remap-path-prefix=${from}=${to}`;
  return {
    arguments: [`+${RUST}`, "--locked", "--target", "wasm32-wasip1", "-Zbuild-std=std,panic_abort"],
    env: {
      RUSTC: script(join(folder, "bin/rustc"), `exec ${rustcFolder()}/bin/rustc --sysroot ${sysroot} "$@"`),
      RUSTC_BOOTSTRAP: "1",
      RQUICKJS_SYS_NO_WASI_SDK: "1",
      WASI_SELF_CONTAINED: selfContained,
      CC_wasm32_wasip1: zig.cc,
      AR_wasm32_wasip1: zig.ar,
      CFLAGS_wasm32_wasip1: `-O3 -g0 -fno-sanitize=undefined -include ${join(here, "../plugin/stack-limit.h")}`,
      LIBCLANG_PATH: join(packages, "clang/native"),
      BINDGEN_EXTRA_CLANG_ARGS: [
        "-nostdinc",
        ...["include", "libc/include/wasm-wasi-musl", "libc/include/generic-musl"].map(
          (path) => `-isystem ${join(include, path)}`,
        ),
      ].join(" "),
      CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS: [
        "-C target-feature=+simd128,+bulk-memory",
        "-Zlocation-detail=none",
        ...registries().map((registry) => remap(registry, "/registry")),
        remap(sysroot, "/sysroot"),
        remap(join(here, "../plugin"), "/plugin"),
        remap(folder, "/build"),
      ].join(" "),
    },
  };
}

/** The folder of the installed Python packages. */
function pythonPackages(folder) {
  const environment = join(folder, "python");
  const python = join(environment, "bin/python");
  if (!existsSync(join(environment, "complete"))) {
    rmSync(environment, { recursive: true, force: true });
    run("python3", ["-m", "venv", environment]);
    run(python, ["-m", "pip", "--quiet", "install", "--require-hashes", "-r", join(here, "requirements.txt")]);
    writeFileSync(join(environment, "complete"), "");
  }
  return run(python, ["-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], { capture: true }).trim();
}

/** A C compiler and an archiver. cc-rs adds a `--target` that zig does not know. */
function zigCommands(folder) {
  const cache = `export ZIG_GLOBAL_CACHE_DIR=${folder}/zig ZIG_LOCAL_CACHE_DIR=${folder}/zig`;
  const zig = `${join(folder, "python/bin/python")} -m ziglang`;
  return {
    cc: script(
      join(folder, "bin/cc"),
      `${cache}\nfor argument; do shift; case $argument in --target=*) ;; *) set -- "$@" "$argument";; esac; done\nexec ${zig} cc -target wasm32-wasi "$@"`,
    ),
    ar: script(join(folder, "bin/ar"), `${cache}\nexec ${zig} ar "$@"`),
  };
}

/** A sysroot: the installed compiler's own, with the standard library's sources and the C library that it links. */
function standardLibrary(folder, zig) {
  const sysroot = join(folder, "sysroot");
  if (existsSync(join(sysroot, "complete"))) return sysroot;
  const selfContained = join(sysroot, "lib/rustlib/wasm32-wasip1/lib/self-contained");
  rmSync(sysroot, { recursive: true, force: true });
  mkdirSync(selfContained, { recursive: true });
  run("bash", [join(here, "rust-src.sh"), join(sysroot, "lib/rustlib/src/rust")]);
  const compiler = join(rustcFolder(), "lib");
  symlinkSync(join(compiler, "rustlib", HOST), join(sysroot, "lib/rustlib", HOST));
  for (const name of readdirSync(compiler).filter((file) => file.endsWith(".so")))
    symlinkSync(join(compiler, name), join(sysroot, "lib", name));

  const parts = cLibrary(folder, zig);
  copyFileSync(parts["crt1-reactor.o"], join(selfContained, "crt1-reactor.o"));
  copyFileSync(parts["crt1-reactor.o"], join(selfContained, "crt1-command.o"));
  copyFileSync(parts["libcompiler_rt.a"], join(selfContained, "libzigrt.a"));
  const merge = ["create libc.a", `addlib ${parts["libc.a"]}`, `addlib ${parts["libzigc.a"]}`, "save", "end"].join(
    "\n",
  );
  const { status } = spawnSync(zig.ar, ["-M"], { cwd: selfContained, input: `${merge}\n`, stdio: ["pipe", 2, 2] });
  if (status !== 0) throw new Error(`${zig.ar} -M: exit status ${status}`);
  writeFileSync(join(sysroot, "complete"), "");
  return sysroot;
}

/** Lets zig build its C library by linking a program, and reads from the linker's command line where the parts lie. */
function cLibrary(folder, zig) {
  const source = join(folder, "probe.c");
  writeFileSync(
    source,
    '#include <math.h>\n#include <stdio.h>\nint probe(int x) { printf("%f", pow(x, 1.5)); return x; }\n',
  );
  const options = ["-mexec-model=reactor", "-O2", "-g0", "-Wl,--export=probe", "--verbose"];
  const output = run(zig.cc, [...options, source, "-o", "probe.wasm"], { cwd: folder, capture: true });
  const words =
    output
      .split("\n")
      .find((line) => line.startsWith("wasm-ld"))
      ?.split(" ") ?? [];
  const parts = {};
  for (const name of ["crt1-reactor.o", "libc.a", "libzigc.a", "libcompiler_rt.a"]) {
    const part = words.find((word) => word.endsWith(`/${name}`));
    if (!part) throw new Error(`zig links no ${name}`);
    parts[name] = resolve(folder, part);
  }
  return parts;
}

function script(path, text) {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

function rustcFolder() {
  return run("rustc", [`+${RUST}`, "--print", "sysroot"], { capture: true }).trim();
}

/** Where cargo unpacks crates: part of every path in the compiled code. */
function registries() {
  const sources = join(process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"), "registry/src");
  return existsSync(sources) ? readdirSync(sources).map((name) => join(sources, name)) : [];
}
