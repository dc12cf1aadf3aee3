import type { Field, Message } from "../ir.ts";
import { snake } from "../text.ts";
import type { RustScope } from "./scope.ts";

/** \`Debug\` of messages that have secrets: it shows all fields but those. prost is told to make none for them. */
export function records(secret: readonly Message[], scope: RustScope): string {
  const fmt = scope.from("std::fmt");
  return secret
    .map(
      (message) => `impl ${fmt}::Debug for ${scope.type(message)} {
    fn fmt(&self, formatter: &mut ${fmt}::Formatter<'_>) -> ${fmt}::Result {
        formatter.debug_struct("${message.name}")${entries(message.fields).join("")}.finish()
    }
}`,
    )
    .join("\n\n");
}

/** One for each field; one for all cases of a oneof. */
function entries(fields: readonly Field[]): string[] {
  const shown = fields.map((field) => {
    if (field.oneof) return `.field("${field.oneof}", &self.${snake(field.oneof)})`;
    if (field.secret) return `.field("${field.name}", &"REDACTED")`;
    const enumValue = field.enumType && !field.repeated ? "()" : "";
    return `.field("${field.name}", &self.${snake(field.name)}${enumValue})`;
  });
  return [...new Set(shown)];
}
