/** The contract's messages as the plugin's `define` takes them; made by ../schema.mjs. */
declare module "chatsdk:schema" {
  export function messages(): readonly import("./plugin.ts").MessageTable[];
}
