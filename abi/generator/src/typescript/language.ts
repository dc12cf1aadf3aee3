// The contract in TypeScript.
import type { Contract, Service } from "../ir.ts";
import { type GeneratedFile, type Language, type PlacedPackage, placedPackages } from "../language.ts";
import type { PluginOptions } from "../plugin-options.ts";
import { kebab } from "../text.ts";
import { boundary } from "./boundary.ts";
import { calls } from "./calls.ts";
import { contractConstants } from "./contract.ts";
import { errors } from "./errors.ts";
import { hostInterface } from "./host-interface.ts";
import { results } from "./results.ts";
import { TypeScriptScope } from "./scope.ts";

/** Writes the body of a file and tells the scope what it needs. */
type Template = (scope: TypeScriptScope) => string;

export const generateTypeScript: Language = (contract, options) =>
  placedPackages(contract, options).flatMap((one) => packageFiles(one, contract, options));

function packageFiles(
  { name, folder, identity, services }: PlacedPackage,
  { errors: cases }: Contract,
  { packages: places, hosts }: PluginOptions,
): GeneratedFile[] {
  const templates: [string, Template][] = services
    .filter(({ kind }) => hosts || kind !== "host")
    .map((service) => [kebab(service.name), (scope) => serviceBody(service, scope)]);
  if (identity) {
    templates.push(["contract", () => contractConstants(identity)]);
    templates.push(["errors", (scope) => errors(cases, scope)]);
    templates.push(["results", (scope) => results(scope)]);
  }
  return templates.map(([file, template]) => {
    const scope = new TypeScriptScope(name, places);
    return { path: `${folder}/${file}.ts`, text: scope.file(template(scope)) };
  });
}

function serviceBody(service: Service, scope: TypeScriptScope): string {
  switch (service.kind) {
    case "calls":
      return calls(service, scope);
    case "boundary":
      return boundary(service, scope);
    case "host":
      return hostInterface(service, scope);
  }
}
