export { FailureError, TrapError } from "./errors.ts";
export { type HostCall, MAXIMUM_LENGTH, ModuleInstance, type ModuleOptions } from "./module-instance.ts";
export { connect } from "./core-client.ts";
