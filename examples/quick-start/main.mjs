// `npm start`: two people, each in a process of their own, chat through a local Waku node. Takes a few seconds.
// The story is in story.ts, and what one person's process does in person.ts.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Node ${process.versions.node} cannot run TypeScript. Run "npm start" in the repository's root instead.`,
  );
  process.exit(1);
}
await import("./story.ts");
