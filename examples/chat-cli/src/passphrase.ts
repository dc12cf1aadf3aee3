import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** Asks on the terminal without echo. Rejects if the user presses Ctrl-C or Ctrl-D. */
export async function askPassphrase(question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  process.stdout.write(`${question}: `);
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.on("close", () => reject(new Error("no passphrase given")));
      reader.question("", resolve);
    });
  } finally {
    reader.close();
    process.stdout.write("\n");
  }
}

/** Asks for the passphrase of a new database. */
export async function choosePassphrase(): Promise<string> {
  for (;;) {
    const passphrase = await askPassphrase("Choose a passphrase for the new profile");
    if (passphrase === "")
      console.log("It must not be empty. For a profile without protection, start with --unprotected.");
    else if ((await askPassphrase("The same again")) === passphrase) return passphrase;
    else console.log("They differ. Once more:");
  }
}

export function readPassphraseFile(file: string): string {
  const [line = ""] = readFileSync(file, "utf8").split(/\r?\n/);
  return line;
}
