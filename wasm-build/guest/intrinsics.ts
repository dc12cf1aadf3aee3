import { plugin } from "./plugin.ts";

/** The primitives as native code in the module. */
export const { crypto } = plugin;
export const cryptoName = "intrinsics";
