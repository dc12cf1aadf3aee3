// Comments as godoc wants them: a sentence that begins with the name.
import { lineComment, lowerFirst } from "../text.ts";

/** "F2: sends a message." of SendMessage as "SendMessage (F2) sends a message." */
export function methodDocs(name: string, docs: string): string {
  const [, requirement, text] = /^(?:([A-Z]\d): )?(.*)$/s.exec(docs) as unknown as [string, string | undefined, string];
  if (!/^[A-Za-z]+s /.test(text)) throw new Error(`${name}: its comment does not begin with what it does: "${text}"`);
  return comment(`${name}${requirement ? ` (${requirement})` : ""} ${lowerFirst(text)}`);
}

/** "The host's wall clock." of Clock as "Clock is the host's wall clock." */
export function typeDocs(name: string, docs: string): string {
  if (!/^(An?|The|What) /.test(docs)) throw new Error(`${name}: its comment does not begin with an article: "${docs}"`);
  return comment(`${name} is ${lowerFirst(docs)}`);
}

export function comment(text: string): string {
  return lineComment("//", text);
}
