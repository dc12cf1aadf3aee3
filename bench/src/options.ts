/** Ends the program: an option has no such value. */
export function refuse(name: string, remedy: string): never {
  console.error(`--${name}: ${remedy}`);
  process.exit(2);
}

/** The number in an option's text. */
export function number(name: string, text: string, valid: (value: number) => boolean, remedy: string): number {
  const value = Number(text);
  if (text.trim() === "" || !valid(value)) refuse(name, remedy);
  return value;
}
