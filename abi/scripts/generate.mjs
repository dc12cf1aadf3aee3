// Generates all code that is made from the schemas, in every language, and docs/errors.md. With --check: changes nothing, and fails if
// what is checked in is not what this makes. Needs Go and Rust; see generator/README.md.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = fileURLToPath(new URL("../../", import.meta.url));
const images = mkdtempSync(join(tmpdir(), "images-"));
const fresh = mkdtempSync(join(tmpdir(), "generated-"));

/** The schemas that a host and a module share; the others are the core's alone. */
const CONTRACT = ["api", "content", "errors", "host", "module", "options", "services"];
/** What is generated is in one of these, and says so in its first lines; other files are left alone. */
const FOLDERS = [
  "abi/gen",
  "abi/fixtures/gen",
  "abi/wit",
  "bindings-go/abi",
  "bindings-go/internal/fixtures",
  "bindings-rust/chatsdk/src/abi/gen",
  "bindings-rust/chatsdk/tests/fixtures/gen",
  "docs",
];
const MARK = /^(\/\/|<!--) (@generated|Code generated|This file is @generated)/m;
const MARKED_LINES = 10;
const RUST_EDITION = "2024";

try {
  run("buf", ["lint", "abi"]);
  generate("schemas", buildImage("schemas", "abi/proto"));
  generateContract();
  generateFixtures();
  hideSecretsInStrings();
  format();
  if (process.argv.includes("--check")) compare();
  else write();
} finally {
  for (const folder of [images, fresh]) rmSync(folder, { recursive: true });
}

function generateContract() {
  const paths = CONTRACT.map((name) => `abi/proto/${name}.proto`);
  // Go registers each schema of a program by its path: "api.proto" could be anybody's.
  const image = rename(buildImage("contract", "abi/proto", paths), "contract-named", (path) => `chatsdk/v1/${path}`);
  generate("contract", image);
  generateRustTypes(image, "bindings-rust/chatsdk/src/abi/gen", [
    "chatsdk.v1=messages.rs",
    "chatsdk.content.v1=content/messages.rs",
  ]);
}

function generateFixtures() {
  const image = buildImage("fixtures", "abi/fixtures/proto");
  const named = rename(image, "fixtures-named", (path) => (path.startsWith("fixtures/") ? path : `chatsdk/v1/${path}`));
  generate("fixtures", named);
  generateRustTypes(named, "bindings-rust/chatsdk/tests/fixtures/gen", [
    "fixtures.v1=messages.rs",
    ".chatsdk.v1=chatsdk::abi",
  ]);
  generate("fixtures-typescript", image);
}

function buildImage(name, module, paths = []) {
  const target = join(images, `${name}.binpb`);
  run("buf", ["build", module, "-o", target, ...paths.flatMap((path) => ["--path", path])]);
  return target;
}

/** An image whose schemas have other paths, except those of protobuf itself. */
function rename(image, name, newPath) {
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(image));
  const moved = (path) => (path.startsWith("google/") ? path : newPath(path));
  for (const file of set.file) {
    file.name = moved(file.name);
    file.dependency = file.dependency.map(moved);
  }
  const target = join(images, `${name}.binpb`);
  writeFileSync(target, toBinary(FileDescriptorSetSchema, set));
  return target;
}

function generate(template, image) {
  run("buf", ["generate", image, "--template", `abi/generator/${template}.gen.yaml`, "-o", fresh]);
}

function generateRustTypes(image, folder, packages) {
  const manifest = "abi/generator-rust/Cargo.toml";
  run("cargo", ["run", "--quiet", "--locked", "--manifest-path", manifest, "--", join(fresh, folder), ...packages], {
    input: readFileSync(image),
    env: { ...process.env, CARGO_TARGET_DIR: join(root, ".cache", "abi-generator") },
  });
}

/** protoc-gen-go knows no debug_redact, and gives every message a String method: here it is that of the package's records.go where there is one. */
function hideSecretsInStrings() {
  const made = filesIn(fresh);
  for (const records of made.filter((path) => path.endsWith("/records.go"))) {
    const secret = new Set(
      Array.from(read(fresh, records).matchAll(/^func \(x \*(\w+)\) redacted\(/gm), ([, name]) => name),
    );
    for (const path of made.filter((path) => dirname(path) === dirname(records) && path.endsWith(".pb.go"))) {
      const string = /^(func \(x \*(\w+)\) String\(\) string \{\n\treturn )protoimpl\.X\.MessageStringOf\(x\)$/gm;
      const text = read(fresh, path).replace(string, (whole, start, name) =>
        secret.delete(name) ? `${start}x.redacted()` : whole,
      );
      writeFileSync(join(fresh, path), text);
    }
    if (secret.size > 0) throw new Error(`${records}: protoc-gen-go makes another String method for ${[...secret]}`);
  }
}

function format() {
  const made = filesIn(fresh);
  const named = (extension) => made.filter((path) => path.endsWith(extension)).map((path) => join(fresh, path));
  run("gofmt", ["-w", ...named(".go")]);
  const settings = join(root, "bindings-rust", "rustfmt.toml");
  const config = existsSync(settings) ? ["--config-path", settings] : [];
  run("rustfmt", ["--edition", RUST_EDITION, ...config, ...named(".rs")]);
}

function compare() {
  const { made, stale } = result();
  const different = made.filter((path) => !existsSync(join(root, path)) || read(root, path) !== read(fresh, path));
  for (const path of [...different, ...stale]) console.error(`${path}: is not what "npm run generate" makes`);
  if (different.length + stale.length > 0) process.exitCode = 1;
  else console.log(`${made.length} generated files are as checked in`);
}

function write() {
  const { made, stale } = result();
  for (const path of stale) rmSync(join(root, path));
  for (const path of made) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), read(fresh, path));
  }
  console.log(`${made.length} files generated`);
}

/** What was made, and what an earlier run made and this one did not. */
function result() {
  const made = filesIn(fresh);
  const present = FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    filesIn(join(root, folder)).map((path) => join(folder, path)),
  );
  const isMarked = (path) => MARK.test(read(root, path).split("\n", MARKED_LINES).join("\n"));
  const stale = present.filter((path) => !made.includes(path) && isMarked(path));
  return { made, stale };
}

function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

function read(folder, path) {
  return readFileSync(join(folder, path), "utf8");
}

function run(command, args, { input, env } = {}) {
  const path = [join(root, "node_modules", ".bin"), process.env["PATH"]].join(":");
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    input,
    env: { ...(env ?? process.env), PATH: path },
    stdio: [input ? "pipe" : "ignore", "inherit", "inherit"],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args[0]}: exit status ${status}`);
}
