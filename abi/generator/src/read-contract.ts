// Descriptors to the general IR. What a language could not express is refused here, with the name of the element.
import { posix } from "node:path";
import {
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";
import { contractHash } from "./contract-hash.ts";
import { ContractOptions } from "./contract-options.ts";
import type {
  BoundaryMethod,
  CallMethod,
  CallService,
  Contract,
  Enum,
  ErrorCase,
  Field,
  HostMethod,
  Identity,
  Message,
  Method,
  Oneof,
  Package,
  Service,
  TypeName,
} from "./ir.ts";

/** @param files - those to generate. @param allFiles - those and what they import. */
export function readContract(files: readonly DescFile[], allFiles: readonly DescFile[]): Contract {
  const options = new ContractOptions(allFiles);
  const names = [...new Set(files.map(({ proto }) => proto.package))];
  return {
    errors: readErrors(allFiles),
    packages: names.map((name) =>
      readPackage(
        name,
        files.filter(({ proto }) => proto.package === name),
        files,
        options,
      ),
    ),
  };
}

function readPackage(
  name: string,
  files: readonly DescFile[],
  contract: readonly DescFile[],
  options: ContractOptions,
): Package {
  return {
    name,
    identity: readIdentity(files, contract, options),
    messages: files.flatMap((file) => file.messages.map(readMessage)),
    enums: files.flatMap((file) => file.enums.map(readEnum)),
    services: files.flatMap((file) => file.services.map((service) => readService(service, options))),
  };
}

function readIdentity(
  files: readonly DescFile[],
  contract: readonly DescFile[],
  options: ContractOptions,
): Identity | undefined {
  for (const file of files) {
    const version = options.number(file, "contract_version");
    const maximumLength = options.number(file, "maximum_length");
    if (version !== undefined && maximumLength !== undefined)
      return { version, hash: contractHash(contract), maximumLength };
  }
  return undefined;
}

function readMessage(message: DescMessage): Message {
  if (message.nestedMessages.length > 0 || message.nestedEnums.length > 0)
    throw new Error(`${message.typeName}: nested types are not supported; declare them beside it`);
  return {
    ...typeName(message),
    docs: docsOf(message),
    fields: message.fields.map((field): Field => {
      if (field.fieldKind === "map") throw new Error(`${message.typeName}.${field.name}: maps are not supported`);
      const secret = field.proto.options?.debugRedact ?? false;
      if (secret && field.oneof) throw new Error(`${message.typeName}.${field.name}: a secret cannot be in a oneof`);
      if (secret && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES)
        throw new Error(`${message.typeName}.${field.name}: only text and bytes can be secret`);
      return {
        name: field.name,
        secret,
        repeated: field.fieldKind === "list",
        enumType: field.fieldKind === "enum" ? typeName(field.enum) : undefined,
        oneof: field.oneof?.name,
      };
    }),
    holdsSecret: holdsSecret(message),
  };
}

function holdsSecret(message: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (seen.has(message)) return false;
  seen.add(message);
  return message.fields.some(
    (field) => field.proto.options?.debugRedact || (field.message !== undefined && holdsSecret(field.message, seen)),
  );
}

function readEnum(declared: DescEnum): Enum {
  return { ...typeName(declared), docs: docsOf(declared) };
}

/** Throws if a comment has no remedy. */
function readErrors(files: readonly DescFile[]): ErrorCase[] {
  const errorCode = files.flatMap((file) => file.enums).find(({ typeName }) => typeName === "chatsdk.v1.ErrorCode");
  return (errorCode?.values ?? [])
    .map((value) => {
      const [, what, remedy] = /^(.*) Remedy: (.*)$/.exec(docsOf(value)) ?? [];
      if (!what || !remedy) throw new Error(`${value.name}: the comment does not say "… Remedy: …"`);
      return { name: value.name, number: value.number, what, remedy };
    })
    .filter(({ number }) => number !== 0);
}

function readService(service: DescService, options: ContractOptions): Service {
  const { name, methods } = service;
  const docs = docsOf(service);
  const calls = methods.flatMap((method) => readCall(method, options) ?? []);
  const boundary = methods.flatMap((method) => readBoundary(method, options) ?? []);
  if (calls.length === methods.length) return readCallService(service, calls);
  if (boundary.length === methods.length) {
    if (new Set(boundary.map(({ number }) => number)).size < boundary.length)
      throw new Error(`${service.typeName}: two methods have the same number`);
    return { kind: "boundary", name, docs, methods: boundary };
  }
  if (calls.length + boundary.length > 0)
    throw new Error(`${service.typeName}: some methods have options that others lack`);
  const blocking = options.flag(service, "blocking");
  return { kind: "host", name, docs, blocking, methods: methods.map((method) => readHostMethod(method, blocking)) };
}

function readCallService(service: DescService, methods: CallMethod[]): CallService {
  const { messages } = service.file;
  const imported = service.file.dependencies.flatMap((file) => file.messages);
  const find = (name: string): DescMessage => {
    const found = [...messages, ...imported].find(
      (message) => message.name === name && message.file.proto.package === service.file.proto.package,
    );
    if (!found) throw new Error(`${service.typeName}: its package has no message ${name}`);
    return found;
  };
  const [input, reply] = [find("Input"), find("Reply")];
  for (const method of methods) {
    requireCase(input, method.input, method.request, method);
    requireCase(reply, method.reply, method.response, method);
  }
  const failure = reply.fields.find((field) => field.message?.typeName === "chatsdk.v1.Failure")?.name;
  if (!failure) throw new Error(`${reply.typeName}: no case is a Failure`);
  return {
    kind: "calls",
    name: service.name,
    docs: docsOf(service),
    methods,
    input: oneofOf(input),
    reply: oneofOf(reply),
    failure,
  };
}

function requireCase(message: DescMessage, name: string, type: TypeName, { name: method }: Method): void {
  const found = message.fields.find((field) => field.name === name && field.oneof);
  if (found?.message?.name !== type.name)
    throw new Error(`${method}: ${message.typeName} has no case ${name} of the type ${type.name}`);
}

function oneofOf(message: DescMessage): Oneof {
  const [oneof] = message.oneofs;
  if (!oneof) throw new Error(`${message.typeName}: it has no oneof`);
  return { message: typeName(message), oneof: oneof.name };
}

function readCall(method: DescMethod, options: ContractOptions): CallMethod | undefined {
  const [input, reply] = [options.text(method, "input"), options.text(method, "reply")];
  return input === undefined || reply === undefined ? undefined : { ...readMethod(method), input, reply };
}

function readBoundary(method: DescMethod, options: ContractOptions): BoundaryMethod | undefined {
  const number = options.number(method, "number");
  if (number === undefined) return undefined;
  if (method.methodKind !== "unary") throw new Error(`${method.parent.typeName}.${method.name}: bytes do not stream`);
  return { ...readMethod(method), number };
}

function readHostMethod(method: DescMethod, blocking: boolean): HostMethod {
  const streams = method.methodKind === "server_streaming";
  if ((!streams && method.methodKind !== "unary") || (streams && blocking))
    throw new Error(`${method.parent.typeName}.${method.name}: only answers stream, and only of services that wait`);
  return { ...readMethod(method), streams };
}

function readMethod(method: DescMethod): Method {
  return {
    name: method.name,
    docs: docsOf(method),
    request: readMessage(method.input),
    response: readMessage(method.output),
  };
}

function typeName({ name, file }: DescMessage | DescEnum): TypeName {
  return { packageName: file.proto.package, name, file: posix.basename(file.name) };
}

/** The comment before an element, as one paragraph. Throws if there is none. */
function docsOf(element: Parameters<typeof getComments>[0]): string {
  const text = getComments(element).leading?.replace(/\s+/g, " ").trim();
  if (!text) throw new Error(`${element.toString()}: it has no comment`);
  return text;
}
