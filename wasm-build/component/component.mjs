// From the core module to the component: the modules beside this file around it, and the types of the world.
import { readFileSync } from "node:fs";
import { componentEmbed, componentNew, componentWit, parse, print } from "@bytecodealliance/jco-transpile/wasm-tools";
import { readSections, sized } from "../wasm-sections.mjs";

const text = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const WIT = "../../abi/wit/chatsdk.wit";
const WORLD = /;; world: .*/;
/** Of a section of a component which is a core module. */
const CORE_MODULE = 1;
/** Before the first section. */
const HEADER = 8;

/**
 * The component, the same bytes for the same module. Throws if the module imports what the doors do not have, and if the component is
 * not valid.
 */
export async function makeComponent(core) {
  const [doors, adapter] = await Promise.all([parse(text("doors.wat")), parse(text("adapter.wat"))]);
  requireDoors(core, doors);
  for (const [name, module] of Object.entries({ core, doors, adapter }))
    if (!WebAssembly.validate(module)) throw new Error(`${name}: no valid module`);
  const world = await emptyComponent();
  const wiring = await parse(text("component.wat").replace(WORLD, typesAndImports(await print(world))));
  const component = insertModules(wiring, [core, doors, adapter]);
  // Validates all but the functions' code, which has been.
  const wit = await componentWit(component);
  if (wit !== (await componentWit(world))) throw new Error(`not the world of ${WIT}:\n${wit}`);
  return component;
}

/** A component of the world in which nothing is done: what wasm-tools makes of the WIT alone. */
async function emptyComponent() {
  return componentNew(
    await componentEmbed({ witSource: text(WIT), world: "core", dummy: true, stringEncoding: "utf8" }),
  );
}

/** What a component of the world declares before its first core module. */
function typesAndImports(component) {
  const [start, end] = [component.indexOf("(type "), component.indexOf("(core module ")];
  if (start < 0 || end < start) throw new Error("wasm-tools prints components in another order; see component.mjs");
  return component.slice(start, end);
}

/** Replaces the empty core modules of a component, in their order. Text could not hold the core's bytes unchanged. */
function insertModules(component, modules) {
  const rest = [...modules];
  const sections = readSections(component).map(({ id, body }) => {
    const content = id === CORE_MODULE ? rest.shift() : body;
    if (!content) throw new Error("more core modules than expected");
    return Buffer.concat([Uint8Array.of(id), sized(content)]);
  });
  if (rest.length > 0) throw new Error("fewer core modules than expected");
  return Buffer.concat([component.subarray(0, HEADER), ...sections]);
}

function requireDoors(core, doors) {
  const offered = new Set(WebAssembly.Module.exports(new WebAssembly.Module(doors)).map(({ name }) => name));
  const missing = WebAssembly.Module.imports(new WebAssembly.Module(core)).filter(({ name }) => !offered.has(name));
  if (missing.length > 0) throw new Error(`doors.wat: add ${missing.map(({ name }) => name).join(", ")}`);
}
