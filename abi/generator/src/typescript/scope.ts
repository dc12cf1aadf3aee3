// One TypeScript file while it is written: what it imports, and how comments look in it.
import type { TypeName } from "../ir.ts";
import { CONTRACT, GENERATED, placeOf } from "../language.ts";
import type { PackagePlace } from "../plugin-options.ts";
import { camel, wrap } from "../text.ts";

const LINE_WIDTH = 120;

export class TypeScriptScope {
  /** Module to the names imported from it; those that are only types begin with "type ". */
  readonly #imports = new Map<string, Set<string>>();
  readonly #packageName: string;
  readonly #places: readonly PackagePlace[];

  constructor(packageName: string, places: readonly PackagePlace[]) {
    this.#packageName = packageName;
    this.#places = places;
  }

  /** The type of a message. */
  shape(type: TypeName): string {
    this.#import(this.#module(type.packageName, `${type.file}_pb`), `type ${type.name}`);
    return type.name;
  }

  /** What a message can be made from. */
  init(type: TypeName): string {
    return `${this.typeFrom("@bufbuild/protobuf", "MessageInitShape")}<typeof ${this.schema(type)}>`;
  }

  schema(type: TypeName): string {
    return this.value(type.packageName, `${type.file}_pb`, `${type.name}Schema`);
  }

  /** A value of a generated file of a package. */
  value(packageName: string, file: string, name: string): string {
    return this.from(this.#module(packageName, file), name);
  }

  contract(file: string, name: string): string {
    return this.value(CONTRACT, file, name);
  }

  contractType(file: string, name: string): string {
    return this.typeFrom(this.#module(CONTRACT, file), name);
  }

  from(module: string, name: string): string {
    this.#import(module, name);
    return name;
  }

  typeFrom(module: string, name: string): string {
    this.#import(module, `type ${name}`);
    return name;
  }

  /** A comment in which methods have the names they have here. */
  docs(text: string, indentation = "", methods: readonly { name: string }[] = []): string {
    const named = methods
      .filter(({ name }) => /[a-z][A-Z]/.test(name))
      .reduce((result, { name }) => result.replace(new RegExp(`\\b${name}\\b`, "g"), `\`${camel(name)}\``), text);
    if (indentation.length + named.length + 7 <= LINE_WIDTH) return `${indentation}/** ${named} */`;
    const lines = wrap(named, LINE_WIDTH - indentation.length - 3).map((line) => `${indentation} * ${line}`);
    return [`${indentation}/**`, ...lines, `${indentation} */`].join("\n");
  }

  file(body: string): string {
    const imports = [...this.#imports]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([module, names]) =>
        importLine(
          module,
          [...names].filter((name) => !names.has(name.replace("type ", "")) || !name.startsWith("type ")),
        ),
      );
    return [`// ${GENERATED}`, ...(imports.length > 0 ? [imports.join("\n")] : []), body].join("\n\n");
  }

  #import(module: string, name: string): void {
    const names = this.#imports.get(module) ?? new Set();
    this.#imports.set(module, names.add(name));
  }

  #module(packageName: string, file: string): string {
    if (packageName === this.#packageName) return `./${file}.ts`;
    return `${placeOf(packageName, this.#places).importPath}/${file}`;
  }
}

function importLine(module: string, names: string[]): string {
  const bare = (name: string) => name.replace("type ", "");
  const sorted = names.sort((left, right) => (bare(left) < bare(right) ? -1 : 1));
  const onlyTypes = sorted.every((name) => name.startsWith("type "));
  const list = onlyTypes ? sorted.map(bare) : sorted;
  const start = onlyTypes ? "import type" : "import";
  const line = `${start} { ${list.join(", ")} } from "${module}";`;
  if (line.length <= LINE_WIDTH) return line;
  return `${start} {\n${list.map((name) => `  ${name},\n`).join("")}} from "${module}";`;
}
