// The contract in Rust.
import type { Contract, Service } from "../ir.ts";
import { GENERATED, type GeneratedFile, type Language, type PlacedPackage, placedPackages } from "../language.ts";
import type { PluginOptions } from "../plugin-options.ts";
import { lineComment, snake } from "../text.ts";
import { boundary } from "./boundary.ts";
import { calls } from "./calls.ts";
import { contractConstants } from "./contract.ts";
import { enums } from "./enums.ts";
import { errors } from "./errors.ts";
import { hostInterface } from "./host-interface.ts";
import { records } from "./records.ts";
import { results } from "./results.ts";
import { RustScope } from "./scope.ts";

/** Writes the body of a file and tells the scope what it uses. */
type Template = (scope: RustScope) => string;

export const generateRust: Language = (contract, options) => {
  const packages = placedPackages(contract, options);
  return packages.flatMap((one) => {
    const nested = packages.filter(({ folder }) => one.folder === "." && folder !== ".");
    return packageFiles(one, nested, contract, options);
  });
};

function packageFiles(
  { name, folder, identity, messages, enums: declared, services }: PlacedPackage,
  nested: readonly PlacedPackage[],
  { errors: cases }: Contract,
  { packages: places }: PluginOptions,
): GeneratedFile[] {
  const secret = messages.filter(({ fields }) => fields.some((field) => field.secret));
  const templates: [string, Template][] = services.map((service) => [
    snake(service.name),
    (scope) => serviceBody(service, scope),
  ]);
  if (identity) {
    templates.push(["contract", () => contractConstants(identity)]);
    templates.push(["errors", (scope) => errors(cases, scope)]);
    templates.push(["results", (scope) => results(scope)]);
  }
  const publicModules = templates.map(([file]) => file);
  if (declared.length > 0) templates.push(["enums", (scope) => enums(declared, scope)]);
  if (secret.length > 0) templates.push(["records", (scope) => records(secret, scope)]);
  const privateModules = templates.map(([file]) => file).filter((file) => !publicModules.includes(file));
  const files = templates.map(([file, template]) => {
    const scope = new RustScope(name, places, cases);
    return { path: `${folder}/${file}.rs`, text: scope.file(template(scope)) };
  });
  const root = moduleRoot(
    name,
    [...publicModules, "messages"],
    privateModules,
    nested.map((one) => one.folder),
  );
  return [...files, { path: `${folder}/mod.rs`, text: root }];
}

/** @param modules - whose names are the package's. @param implementations - without names. */
function moduleRoot(name: string, modules: string[], implementations: string[], nested: string[]): string {
  return `// @generated. ${GENERATED}

${lineComment("//!", `The package \`${name}\` of the contract.`)}

${[...modules, ...implementations]
  .sort()
  .map((file) => `mod ${file};`)
  .join("\n")}
${nested.map((folder) => `pub mod ${folder};`).join("\n")}

${modules
  .sort()
  .map((file) => `pub use ${file}::*;`)
  .join("\n")}`;
}

function serviceBody(service: Service, scope: RustScope): string {
  switch (service.kind) {
    case "calls":
      return calls(service, scope);
    case "boundary":
      return boundary(service, scope);
    case "host":
      return hostInterface(service, scope);
  }
}
