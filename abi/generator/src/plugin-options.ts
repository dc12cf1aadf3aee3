// The plugin's options in buf.gen.yaml.

export interface PluginOptions {
  language: string;
  /** What to do with each package. */
  packages: PackagePlace[];
  /** Host interfaces are wanted. */
  hosts: boolean;
}

export interface PackagePlace {
  name: string;
  /** Where its files go, below `out`; "." for `out` itself; undefined: they are made elsewhere. */
  folder: string | undefined;
  /** How other packages import it: a Go import path, a Rust path, a TypeScript package. */
  importPath: string;
}

/** `language=go`, `package=NAME=FOLDER=IMPORT` (FOLDER may be empty), `hosts=false`. */
export function parseOptions(options: { key: string; value: string }[]): PluginOptions {
  const parsed: PluginOptions = { language: "", packages: [], hosts: true };
  for (const { key, value } of options) {
    if (key === "language") parsed.language = value;
    else if (key === "package") parsed.packages.push(parsePackage(value));
    else if (key === "hosts" && (value === "true" || value === "false")) parsed.hosts = value === "true";
    else throw new Error(`option ${key}=${value}: not known`);
  }
  return parsed;
}

function parsePackage(value: string): PackagePlace {
  const [name, folder, importPath] = value.split("=");
  if (!name || folder === undefined || !importPath)
    throw new Error(`option package=${value}: expected package=NAME=FOLDER=IMPORT`);
  return { name, folder: folder || undefined, importPath };
}
