/** The primitives in JavaScript: for comparison alone, they are some hundred times slower here. */
export { nobleCrypto as crypto } from "@chatsdk/core";
export const cryptoName = "noble";
