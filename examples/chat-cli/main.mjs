// A chat program for the terminal: `npm run chat -- --name alice`. See `npm run chat -- --help`.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Node ${process.versions.node} cannot run TypeScript. Run "npm run chat" in the repository's root instead.`,
  );
  process.exit(1);
}
await import("./src/main.ts");
