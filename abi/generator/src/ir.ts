// The contract as the generator sees it: no descriptors, no language. Names are those of the schemas.

export interface Contract {
  /** All values of ErrorCode other than 0. */
  errors: ErrorCase[];
  /** Those that this run generates. */
  packages: Package[];
}

export interface Package {
  /** Such as "chatsdk.v1". */
  name: string;
  /** Of the contract's own package: errors, results and constants belong to it. */
  identity: Identity | undefined;
  messages: Message[];
  enums: Enum[];
  services: Service[];
}

/** What a host compares with its module before it uses it. */
export interface Identity {
  version: number;
  /** SHA-256 of the schemas, in hexadecimal. */
  hash: string;
  /** Bytes. */
  maximumLength: number;
}

/** A message or enum, by name. */
export interface TypeName {
  packageName: string;
  /** Without the package. */
  name: string;
  /** The file that declares it, without ".proto". */
  file: string;
}

export interface Message extends TypeName {
  docs: string;
  fields: Field[];
  /** It, or a message in it, has a secret field. */
  holdsSecret: boolean;
}

export interface Field {
  /** In snake_case. */
  name: string;
  secret: boolean;
  repeated: boolean;
  enumType: TypeName | undefined;
  /** The oneof it is part of. */
  oneof: string | undefined;
}

export interface Enum extends TypeName {
  docs: string;
}

/** A value of ErrorCode. */
export interface ErrorCase {
  /** In SCREAMING_SNAKE_CASE. */
  name: string;
  number: number;
  what: string;
  remedy: string;
}

export type Service = CallService | BoundaryService | HostService;

interface ServiceBase<Kind extends string, OneMethod extends Method> {
  kind: Kind;
  name: string;
  docs: string;
  methods: OneMethod[];
}

/** Calls that travel as cases of one input message and are answered by cases of one reply message. */
export interface CallService extends ServiceBase<"calls", CallMethod> {
  input: Oneof;
  reply: Oneof;
  /** The case of the reply that says that a call failed. */
  failure: string;
}

/** Methods that have numbers: they cross the boundary of the core module as bytes. */
export interface BoundaryService extends ServiceBase<"boundary", BoundaryMethod> {}

/** What a host implements in its own language. */
export interface HostService extends ServiceBase<"host", HostMethod> {
  /** Its methods answer before they return. */
  blocking: boolean;
}

export interface Method {
  /** In PascalCase. */
  name: string;
  docs: string;
  request: Message;
  response: Message;
}

export interface CallMethod extends Method {
  /** The case of the input, in snake_case. */
  input: string;
  /** The case of the reply, in snake_case. */
  reply: string;
}

export interface BoundaryMethod extends Method {
  number: number;
}

export interface HostMethod extends Method {
  /** It answers with a stream of responses. */
  streams: boolean;
}

/** A message and the oneof in it that matters. */
export interface Oneof {
  message: TypeName;
  oneof: string;
}
