#!/usr/bin/env node
// protoc-gen-chatsdk: descriptors -> IR -> IR of a language -> templates. Run by buf; see README.md.
import { posix } from "node:path";
import { createEcmaScriptPlugin, runNodeJs, type Schema } from "@bufbuild/protoplugin";
import { generateGo } from "./go/language.ts";
import type { Language } from "./language.ts";
import { generateErrorGlossary } from "./markdown/error-glossary.ts";
import { type PluginOptions, parseOptions } from "./plugin-options.ts";
import { readContract } from "./read-contract.ts";
import { generateRust } from "./rust/language.ts";
import { generateTypeScript } from "./typescript/language.ts";
import { generateWit } from "./wit/language.ts";

const LANGUAGES: Record<string, Language> = {
  go: generateGo,
  rust: generateRust,
  typescript: generateTypeScript,
  wit: generateWit,
  errors: generateErrorGlossary,
};

function generate({ files, allFiles, options, generateFile }: Schema<PluginOptions>): void {
  const language = LANGUAGES[options.language];
  if (!language) throw new Error(`option language=${options.language}: known are ${Object.keys(LANGUAGES).join(", ")}`);
  for (const { path, text } of language(readContract(files, allFiles), options)) {
    generateFile(posix.normalize(path)).print(text.trimEnd());
  }
}

runNodeJs(createEcmaScriptPlugin({ name: "protoc-gen-chatsdk", version: "1", parseOptions, generateTs: generate }));
