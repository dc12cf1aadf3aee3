// The options of options.proto. They are looked up by name in the schemas at hand, so that the generator does not depend on code it
// makes itself.
import {
  type DescExtension,
  type DescFile,
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";

export class ContractOptions {
  readonly #extensions: Map<string, DescExtension>;

  constructor(files: readonly DescFile[]) {
    this.#extensions = new Map(
      files.flatMap(({ extensions }) => extensions.map((extension) => [extension.typeName, extension])),
    );
  }

  text(element: DescMethod, name: "input" | "reply"): string | undefined {
    return this.#value(element, name) as string | undefined;
  }

  number(element: DescMethod | DescFile, name: "number" | "contract_version" | "maximum_length"): number | undefined {
    return this.#value(element, name) as number | undefined;
  }

  flag(element: DescService, name: "blocking"): boolean {
    return this.#value(element, name) === true;
  }

  /** The value, if it is set. */
  #value(element: DescFile | DescMethod | DescService, name: string): unknown {
    const extension = this.#extensions.get(`chatsdk.v1.${name}`);
    if (!extension) throw new Error(`options.proto does not declare ${name}`);
    return hasOption(element, extension) ? getOption(element, extension) : undefined;
  }
}
