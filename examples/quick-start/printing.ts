import { styleText } from "node:util";

const colours = { node: "yellow", alice: "magenta", bob: "cyan" } as const;
export type Speaker = keyof typeof colours;

/** A line with its speaker's name in front. Without colours if the output is not a terminal, or NO_COLOR is set. */
export function say(speaker: Speaker, text: string): void {
  console.log(`${styleText(colours[speaker], speaker.padStart(7))}  ${text}`);
}

export function title(text: string): void {
  console.log(`\n${styleText("bold", text)}\n`);
}

export const ticks = {
  queued: "…",
  sent: styleText("dim", "✓ sent"),
  delivered: styleText("green", "✓✓ delivered"),
  read: styleText("blueBright", "✓✓ read"),
  failed: styleText("red", "✗ failed"),
} as const;

export const bold = (text: string): string => styleText("bold", text);
export const dim = (text: string): string => styleText("dim", text);
