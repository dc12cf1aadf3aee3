import { fromBinary, getOption, type DescMessage, type Message } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { CoreModule } from "@chatsdk/abi/module_pb";
import { number$ } from "@chatsdk/abi/options_pb";
import { ChatError } from "@chatsdk/core";
import { crypto, cryptoName } from "#crypto";
import { coreModule } from "./core-module.ts";
import { plugin } from "./plugin.ts";
import { failure, success } from "./result.ts";

type Method = (request: Message) => Message;

const implementation = coreModule(crypto, cryptoName) as unknown as Record<string, Method>;
const methods = new Map(
  CoreModule.methods.map((desc) => {
    const { name, localName, input, output } = desc;
    return [getOption(desc, number$), { name, input, output, call: implementation[localName]! }];
  }),
);

function handle(number: number, request: Uint8Array): Uint8Array {
  try {
    const method = methods.get(number);
    if (!method) throw invalid(`method ${number}: there is none`);
    return success(method.output, method.call(decodeRequest(method.name, method.input, request)));
  } catch (error) {
    return failure(error);
  }
}

function decodeRequest(method: string, schema: DescMessage, request: Uint8Array): Message {
  try {
    return fromBinary(schema, request, { readUnknownFields: false });
  } catch {
    throw invalid(`request of ${method}: not decodable`);
  }
}

function invalid(message: string): ChatError {
  return new ChatError(ErrorCode.INVALID_ARGUMENT, message);
}

plugin.register(handle, {
  tooLarge: failure(invalid("request: more than 67,108,864 bytes")),
  busy: failure(invalid("a call during a call: finish the first, or make another instance")),
  exhausted: failure(new ChatError(ErrorCode.INTERNAL, "out of memory; use smaller requests", { retryable: true })),
});
