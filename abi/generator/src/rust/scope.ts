// One Rust file while it is written: what it uses, and how comments look in it.
import type { ErrorCase, TypeName } from "../ir.ts";
import { CONTRACT, GENERATED, placeOf } from "../language.ts";
import type { PackagePlace } from "../plugin-options.ts";
import { lineComment, pascalOfConstant, snake } from "../text.ts";

export class RustScope {
  readonly #uses = new Set<string>();
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
    return this.from(`${this.#module(packageName)}::${name}`);
  }

  /** A name of the contract's own package. */
  contract(name: string): string {
    return this.type({ packageName: CONTRACT, name });
  }

  /** Uses a path and returns its last part. */
  from(path: string): string {
    this.#uses.add(path);
    return path.slice(path.lastIndexOf(":") + 1);
  }

  /** A comment with links to errors and to the methods of the trait or type it stands in. */
  docs(text: string, methods: readonly { name: string }[] = []): string {
    let linked = text.replace(/[[\]]/g, "\\$&");
    for (const { name } of this.#errors) {
      const path = `${this.#module(CONTRACT)}::ErrorCode::${pascalOfConstant(name)}`;
      linked = linked.replace(new RegExp(`\\b${name}\\b`, "g"), `[\`${name}\`](${path})`);
    }
    for (const { name } of methods.filter((method) => /[a-z][A-Z]/.test(method.name)))
      linked = linked.replace(new RegExp(`\\b${name}\\b`, "g"), `[\`${snake(name)}\`](Self::${snake(name)})`);
    return lineComment("///", linked);
  }

  /** The whole file. rustfmt puts the uses and the indentation in order. */
  file(body: string): string {
    const modules = Map.groupBy([...this.#uses].sort(), (path) => path.slice(0, path.lastIndexOf("::")));
    const uses = [...modules].map(([module, paths]) => {
      const names = paths.map((path) => path.slice(module.length + 2));
      return `use ${module}::${names.length === 1 ? names[0] : `{${names.join(", ")}}`};`;
    });
    return [`// @generated. ${GENERATED}`, ...(uses.length > 0 ? [uses.join("\n")] : []), body].join("\n\n");
  }

  #module(packageName: string): string {
    return packageName === this.#packageName ? "super" : placeOf(packageName, this.#places).importPath;
  }
}
