import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createFileRegistry, type DescFile, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { contractHash } from "../generator/src/contract-hash.ts";
import { generateGo } from "../generator/src/go/language.ts";
import { readContract } from "../generator/src/read-contract.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Compiles a schema of the package "t", beside those of the contract. */
function compile(body: string): { schema: DescFile; all: DescFile[] } {
  const folder = mkdtempSync(join(tmpdir(), "schema-"));
  try {
    cpSync(join(root, "abi/proto"), folder, { recursive: true });
    const head =
      'syntax = "proto3";\npackage t;\nimport "api.proto";\nimport "errors.proto";\nimport "options.proto";\n';
    writeFileSync(join(folder, "t.proto"), `${head}${body}`);
    const buf = join(root, "node_modules/.bin/buf");
    const { status, stdout, stderr } = spawnSync(buf, ["build", folder, "-o", "-"], { maxBuffer: 16 * 1024 * 1024 });
    if (status !== 0) throw new Error(stderr.toString());
    const all = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, stdout)).files];
    return { schema: all.find(({ name }) => name === "t")!, all };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function read(body: string) {
  const { schema, all } = compile(body);
  return readContract([schema], all);
}

const MESSAGES = "// Q.\nmessage Q { // A.\n string a = 1; }\n// R.\nmessage R {}\n";

test("S3 the contract's hash changes with a schema, and not with a comment", () => {
  const hashes = [MESSAGES, MESSAGES.replaceAll("// Q.", "// Another.\n"), MESSAGES.replace("a = 1", "a = 2")].map(
    (body) => contractHash([compile(body).schema]),
  );
  expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(hashes[1]).toBe(hashes[0]);
  expect(hashes[2]).not.toBe(hashes[0]);
});

test("S3 the contract's hash is the same in every language", () => {
  const files = ["abi/gen/contract.ts", "bindings-go/abi/contract.go", "bindings-rust/chatsdk/src/abi/gen/contract.rs"];
  const hashes = [...files, "abi/wit/chatsdk.wit"].map(
    (path) => /\b[0-9a-f]{64}\b/.exec(readFileSync(join(root, path), "utf8"))?.[0],
  );
  expect(hashes[0]).toBeDefined();
  expect(new Set(hashes).size).toBe(1);
});

test("S4 keys, entropy, texts and links are marked as secret", () => {
  const contract = compile(MESSAGES).all.filter(
    ({ proto }) => proto.package.startsWith("chatsdk.") && !isOfTheCore(proto.package),
  );
  const fields = contract.flatMap(({ messages }) => messages.flatMap(({ fields }) => fields));
  const sensitive = fields.filter(({ name }) =>
    /^(.*host_key|entropy|.*passphrase|.*secret.*|text|link|query)$/.test(name),
  );
  expect(sensitive.length).toBeGreaterThanOrEqual(14);
  const unmarked = sensitive.filter(({ proto }) => !proto.options?.debugRedact);
  expect(unmarked.map(({ parent, name }) => `${parent.typeName}.${name}`)).toEqual([]);
});

/** Wire and records: they never reach a host decoded. */
function isOfTheCore(packageName: string): boolean {
  return packageName.includes("wire") || packageName.includes("records");
}

test.each([
  ["a message without a comment", "message Q {}", /it has no comment/],
  [
    "two methods with one number",
    `${MESSAGES}// S.
    service S {
      // Does.
      rpc A(Q) returns (R) { option (chatsdk.v1.number) = 1; }
      // Does.
      rpc B(Q) returns (R) { option (chatsdk.v1.number) = 1; }
    }`,
    /same number/,
  ],
  [
    "a method with a number beside one without",
    `${MESSAGES}// S.
    service S {
      // Does.
      rpc A(Q) returns (R) { option (chatsdk.v1.number) = 1; }
      // Does.
      rpc B(Q) returns (R);
    }`,
    /options that others lack/,
  ],
  [
    "bytes that stream",
    `${MESSAGES}// S.
    service S {
      // Does.
      rpc A(Q) returns (stream R) { option (chatsdk.v1.number) = 1; }
    }`,
    /do not stream/,
  ],
  [
    "a blocking method that streams",
    `${MESSAGES}// S.
    service S {
      option (chatsdk.v1.blocking) = true;
      // Does.
      rpc A(Q) returns (stream R);
    }`,
    /only answers stream/,
  ],
  [
    "a call whose case has another type",
    `${MESSAGES}// I.
    message Input { oneof input { R q = 1; } }
    // R.
    message Reply { oneof reply { chatsdk.v1.Failure failure = 1; R r = 2; } }
    // S.
    service S {
      // Does.
      rpc A(Q) returns (R) { option (chatsdk.v1.input) = "q"; option (chatsdk.v1.reply) = "r"; }
    }`,
    /no case q of the type Q/,
  ],
  [
    "a secret in a oneof",
    "// Q.\nmessage Q { oneof o { bytes key = 1 [debug_redact = true]; } }",
    /cannot be in a oneof/,
  ],
  ["a secret message", `${MESSAGES}// P.\nmessage P { Q q = 1 [debug_redact = true]; }`, /only text and bytes/],
  ["a secret number", "// Q.\nmessage Q { uint32 pin = 1 [debug_redact = true]; }", /only text and bytes/],
  ["a map", "// Q.\nmessage Q { map<string, string> m = 1; }", /maps are not supported/],
])("S4 refuses %s", (_, body, message) => {
  expect(() => read(body)).toThrow(message);
});

test("S4 a comment that would not read as documentation is refused", () => {
  const contract = read(`${MESSAGES}// The one.
    service S {
      // Something.
      rpc A(Q) returns (R);
    }`);
  const packages = [
    { name: "t", folder: ".", importPath: "t" },
    { name: "chatsdk.v1", folder: undefined, importPath: "abi" },
  ];
  const options = { language: "go", packages, hosts: true };
  expect(() => generateGo(contract, options)).toThrow(/A: its comment does not begin with what it does/);
});
