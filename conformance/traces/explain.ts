import { toJsonString } from "@bufbuild/protobuf";
import { StepResultSchema } from "@chatsdk/abi/module_pb";
import { nodeCrypto } from "@chatsdk/client";
import { decodeResult, firstDifference, fromHex, partsOf } from "../src/trace.ts";
import { NativeEngine, Replay } from "../src/trace-replayer.ts";
import { readTrace } from "./recordings.ts";

/** Shows a step as the core in V8 takes it, and where the result of another engine differs. */
const [name, number, bytes] = process.argv.slice(2);
if (!name || !/^\d+$/.test(number ?? "")) {
  console.error("usage: explain.ts <name of the trace> <number of the step> [bytes of the other StepResult]");
  process.exit(2);
}
const replay = new Replay(readTrace(name), () => new NativeEngine(nodeCrypto));
let result = replay.next();
while (result && replay.count <= Number(number)) result = replay.next();
if (!result) throw new Error(`${name} has ${replay.count} steps`);
if (bytes === undefined) console.log(toJsonString(StepResultSchema, decodeResult(result), { prettySpaces: 2 }));
else console.log(firstDifference(partsOf(result), partsOf(fromHex(bytes))));
