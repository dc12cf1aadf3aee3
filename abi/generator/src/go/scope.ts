// One Go file while it is written: what it imports, and how names look in it.
import { CONTRACT, GENERATED, placeOf } from "../language.ts";
import type { ErrorCase, TypeName } from "../ir.ts";
import type { PackagePlace } from "../plugin-options.ts";
import { pascalOfConstant } from "../text.ts";

export class GoScope {
  readonly #imports = new Set<string>();
  readonly #packageName: string;
  readonly #places: readonly PackagePlace[];
  readonly #errors: readonly ErrorCase[];

  constructor(packageName: string, places: readonly PackagePlace[], errors: readonly ErrorCase[]) {
    this.#packageName = packageName;
    this.#places = places;
    this.#errors = errors;
  }

  /** A message or enum. */
  type({ packageName, name }: Pick<TypeName, "packageName" | "name">): string {
    if (packageName === this.#packageName) return name;
    const { importPath } = placeOf(packageName, this.#places);
    return `${this.from(importPath)}.${name}`;
  }

  /** A name of the contract's own package. */
  contract(name: string): string {
    return this.type({ packageName: CONTRACT, name });
  }

  /** Imports a package and returns its name. */
  from(path: string): string {
    this.#imports.add(path);
    return path.slice(path.lastIndexOf("/") + 1);
  }

  /** A comment with links to the errors it names. They need no import. */
  linked(docs: string): string {
    const place = this.#packageName === CONTRACT ? "" : `${placeOf(CONTRACT, this.#places).importPath}.`;
    return this.#errors.reduce(
      (text, { name }) => text.replace(new RegExp(`\\b${name}\\b`, "g"), `[${place}Err${pascalOfConstant(name)}]`),
      docs,
    );
  }

  /** The whole file. gofmt puts the imports and the indentation in order. */
  file(body: string): string {
    const { importPath } = placeOf(this.#packageName, this.#places);
    const isStandard = (path: string) => !path.includes(".") && !path.startsWith(importPath.split("/", 1)[0]!);
    const paths = [...this.#imports];
    const groups = [
      paths.filter(isStandard),
      paths.filter((path) => path.includes(".")),
      paths.filter((path) => !isStandard(path) && !path.includes(".")),
    ];
    const imports = groups
      .filter((group) => group.length > 0)
      .map((group) =>
        group
          .sort()
          .map((path) => `"${path}"`)
          .join("\n"),
      )
      .join("\n\n");
    return [
      `// ${GENERATED}`,
      `package ${importPath.slice(importPath.lastIndexOf("/") + 1)}`,
      ...(imports ? [`import (\n${imports}\n)`] : []),
      body,
    ].join("\n\n");
  }
}
