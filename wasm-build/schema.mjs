// The contract's schemas for the bundle: what the plugin's codec needs to know of them, and nothing of their descriptors.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createFileRegistry, fromBinary, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence as Presence, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = fileURLToPath(new URL("..", import.meta.url));
/** What the core and its door are made of; the other schemas are of no use to the module. */
const ENTRIES = ["content.proto", "module.proto", "records.proto", "wire.proto"];

/** Reads the schemas. `source(file)` is the module that stands for the generated one; `table`, what `define` takes. */
export function readSchema() {
  const registry = fileRegistry();
  const files = [...new Set(ENTRIES.flatMap((name) => withImports(registry.getFile(name))))];
  const messages = files.flatMap((file) => file.messages);
  const indexes = new Map(messages.map((message, index) => [message.typeName, index]));
  const table = messages.map(({ typeName, members }) => [typeName, members.map((member) => memberOf(member, indexes))]);
  return {
    table,
    source: (name) =>
      sourceOf(
        files.find((file) => file.name === name),
        indexes,
      ),
  };
}

function fileRegistry() {
  const { status, stdout, stderr, error } = spawnSync(
    `${root}node_modules/.bin/buf`,
    ["build", "proto", "--exclude-source-info", "--as-file-descriptor-set", "-o", "-#format=binpb"],
    { cwd: `${root}abi`, maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`buf build: ${error?.message ?? stderr}`);
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, stdout));
}

/** A file and those it imports, each after what it imports itself. */
function withImports(file) {
  const imports = file.dependencies.filter(({ name }) => !name.startsWith("google/"));
  return [...imports.flatMap(withImports), file];
}

function memberOf(member, indexes) {
  if (member.kind === "oneof") return [member.localName, member.fields.map((field) => fieldOf(field, indexes))];
  return [...fieldOf(member, indexes), labelOf(member)];
}

function fieldOf(field, indexes) {
  return [field.localName, field.number, kindOf(field, indexes)];
}

function kindOf(field, indexes) {
  if (field.message && field.fieldKind !== "map") return indexes.get(field.message.typeName);
  if (field.enum && field.enum.open && field.fieldKind !== "map") return "enum";
  if (field.scalar === undefined || field.fieldKind === "map")
    throw new Error(`${field}: the codec knows no such field`);
  return ScalarType[field.scalar].toLowerCase();
}

function labelOf(field) {
  if (field.fieldKind !== "list") return field.presence === Presence.IMPLICIT ? "implicit" : "optional";
  const isPackable = field.listKind === "enum" || ![ScalarType.STRING, ScalarType.BYTES].includes(field.scalar);
  if (field.listKind !== "message" && isPackable && !field.packed)
    throw new Error(`${field}: the codec writes it packed`);
  return "repeated";
}

/** The exports that code imports: schemas as indexes, enumerations as TypeScript compiles them. */
function sourceOf(file, indexes) {
  const schemas = file.messages.map(({ name, typeName }) => `export const ${name}Schema = ${indexes.get(typeName)};`);
  const enumerations = file.enums.map(({ name, values }) => {
    const entries = values.flatMap(({ localName, number }) => [
      [localName, number],
      [number, localName],
    ]);
    return `export const ${name} = /* @__PURE__ */ Object.freeze(${JSON.stringify(Object.fromEntries(entries))});`;
  });
  return [...schemas, ...enumerations].join("\n");
}
