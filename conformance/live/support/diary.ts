import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";

/** What a worker notes while it runs. Each note is in the file before the worker goes on, so that a SIGKILL loses none. */
export type Note =
  /** A process began; its client is open; it closed the orderly way. */
  | { what: "start" | "ready" | "closed" }
  /** `send` was called; it resolved; it rejected. */
  | { what: "trying"; text: string }
  | { what: "sent"; text: string; id: string }
  | { what: "refused"; text: string; error: string }
  /** Around a commit of the storage. */
  | { what: "commit" | "committed" }
  /** Around a publication: the envelope's hint, a hash of the whole, its size. */
  | { what: "publish"; hint: string; digest: string; bytes: number }
  | { what: "published"; ok: boolean }
  /** Envelopes came. */
  | { what: "arrived"; from: "subscription" | "history"; count: number }
  /** The application was shown an event. `about`: everything else that it says, as text. */
  | { what: "event"; number: string; type: string; about: string; messageId?: string; text?: string };

export class Diary {
  readonly #file: number;

  constructor(path: string) {
    const torn = existsSync(path) && !/(^|\n)$/.test(readFileSync(path, "utf8").slice(-1));
    this.#file = openSync(path, "a");
    if (torn) writeSync(this.#file, "\n");
  }

  note(note: Note): void {
    writeSync(this.#file, `${JSON.stringify(note)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** All notes; one that a kill cut in two is left out. */
export function readDiary(path: string): Note[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as Note];
      } catch {
        return [];
      }
    });
}

export function notesOf<What extends Note["what"]>(
  notes: readonly Note[],
  what: What,
): Extract<Note, { what: What }>[] {
  return notes.filter((note): note is Extract<Note, { what: What }> => note.what === what);
}

/** Where a process was when it ended, by its notes. */
export function placeOf(notes: readonly Note[]): string[] {
  const open = (begin: Note["what"], end: Note["what"]): boolean =>
    notesOf(notes, begin).length > notesOf(notes, end).length;
  const places: string[] = [];
  if (!notes.some((note) => note.what === "ready")) places.push("start-up");
  if (open("commit", "committed")) places.push("commit");
  if (open("trying", "sent")) places.push("send");
  if (open("publish", "published")) places.push("publish");
  return places.length === 0 ? ["between"] : places;
}
