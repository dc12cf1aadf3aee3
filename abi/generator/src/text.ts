// Names and comments, as text.

export function pascal(name: string): string {
  return name
    .split(/[_\s-]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
}

export function camel(name: string): string {
  return lowerFirst(pascal(name));
}

export function snake(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}

export function kebab(name: string): string {
  return snake(name).replaceAll("_", "-");
}

/** "INVALID_ARGUMENT" as "InvalidArgument". */
export function pascalOfConstant(name: string): string {
  return pascal(name.toLowerCase());
}

export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

export function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Lines of a paragraph, each at most `width` characters unless a single word is longer. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A comment whose every line begins with `mark`. */
export function lineComment(mark: string, text: string, width = 100): string {
  return wrap(text, width - mark.length - 1)
    .map((line) => `${mark} ${line}`)
    .join("\n");
}
