import { sizes } from "./sizes.ts";
import { speed } from "./speed.ts";

console.log("## Bytes on the wire\n");
console.log(sizes());
console.log("\n## Operations per second, whole stack (encryption, records, sealing, events), one core, V8\n");
console.log(speed());
