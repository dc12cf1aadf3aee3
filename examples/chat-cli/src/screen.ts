/** Text whose lines after the first are indented, also where it must be wrapped. */
export interface Block {
  text: string;
  indent: number;
}

/** Where the chat is shown, and where lines come from. */
export interface Screen {
  /** False: a pipe. Nothing is rewritten, and there is no prompt. */
  readonly interactive: boolean;
  /** Prints one or more lines. */
  print(text: string): void;
  /** Prints something that `update` can rewrite later. */
  printBlock(key: string, block: Block): void;
  /** Rewrites a block, if it is still on the screen and takes as many rows as before. */
  update(key: string, block: Block): void;
  setPrompt(prompt: string): void;
  /** What the user types, line by line, until there is no more. */
  lines(): AsyncIterable<string>;
  /** Ends `lines`. */
  close(): void;
}
