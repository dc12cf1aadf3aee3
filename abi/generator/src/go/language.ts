// The contract in Go.
import { type GeneratedFile, type Language, type PlacedPackage, placedPackages } from "../language.ts";
import type { Contract, Service } from "../ir.ts";
import type { PackagePlace } from "../plugin-options.ts";
import { snake } from "../text.ts";
import { boundary } from "./boundary.ts";
import { calls } from "./calls.ts";
import { contractConstants } from "./contract.ts";
import { errors } from "./errors.ts";
import { hostInterface } from "./host-interface.ts";
import { records } from "./records.ts";
import { results } from "./results.ts";
import { GoScope } from "./scope.ts";

/** Writes the body of a file and tells the scope what it needs. */
type Template = (scope: GoScope) => string;

export const generateGo: Language = (contract, options) =>
  placedPackages(contract, options).flatMap((one) => packageFiles(one, contract, options.packages));

function packageFiles(
  { name, folder, identity, messages, services }: PlacedPackage,
  { errors: cases }: Contract,
  places: readonly PackagePlace[],
): GeneratedFile[] {
  const secret = messages.filter(({ holdsSecret }) => holdsSecret);
  const templates: [string, Template][] = services.map((service) => [
    snake(service.name),
    (scope) => serviceBody(service, scope),
  ]);
  if (secret.length > 0) templates.push(["records", (scope) => records(secret, identity !== undefined, scope)]);
  if (identity) {
    templates.push(["contract", () => contractConstants(identity)]);
    templates.push(["errors", (scope) => errors(cases, scope)]);
    templates.push(["results", (scope) => results(scope)]);
  }
  return templates.map(([file, template]) => {
    const scope = new GoScope(name, places, cases);
    return { path: `${folder}/${file}.go`, text: scope.file(template(scope)) };
  });
}

function serviceBody(service: Service, scope: GoScope): string {
  switch (service.kind) {
    case "calls":
      return calls(service, scope);
    case "boundary":
      return boundary(service, scope);
    case "host":
      return hostInterface(service, scope);
  }
}
