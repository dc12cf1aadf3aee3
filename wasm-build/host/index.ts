export { TrapError } from "./errors.ts";
export { ModuleInstance, type ModuleOptions } from "./module-instance.ts";
export { connect } from "./core-client.ts";
