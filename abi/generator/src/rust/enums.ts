import type { Enum } from "../ir.ts";
import type { RustScope } from "./scope.ts";

/** Values print as their names in the schemas, which are the same in every language. */
export function enums(declared: readonly Enum[], scope: RustScope): string {
  const fmt = scope.from("std::fmt");
  return declared
    .map(
      (one) => `impl ${fmt}::Display for ${scope.type(one)} {
    fn fmt(&self, formatter: &mut ${fmt}::Formatter<'_>) -> ${fmt}::Result {
        formatter.write_str(self.as_str_name())
    }
}`,
    )
    .join("\n\n");
}
