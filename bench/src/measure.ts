/** Runs `work` for at least `seconds` and returns operations per second of the best of five parts. */
export function operationsPerSecond(work: () => void, seconds = 1): number {
  work();
  let best = 0;
  for (let part = 0; part < 5; part++) {
    const start = performance.now();
    let count = 0;
    let elapsed = 0;
    do {
      work();
      count++;
      elapsed = performance.now() - start;
    } while (elapsed < (seconds * 1000) / 5);
    best = Math.max(best, (count * 1000) / elapsed);
  }
  return best;
}

/** A table in Markdown, so that it can be pasted into bench/README.md. */
export function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
