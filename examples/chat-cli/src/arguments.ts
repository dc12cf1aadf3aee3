import { homedir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { LOCAL_WEBSOCKET_PORT } from "../../local-node/service-node.ts";

export interface Settings {
  name: string;
  dataFolder: string;
  /** Service nodes to use. Empty and no discovery: the local node that all chat programs of this machine share. */
  node: string[];
  discover: boolean;
  localPort: number;
  cluster: number;
  shards: number;
  passphraseFile?: string;
  unprotected: boolean;
  acceptRollback: boolean;
  verbose: boolean;
}

export function parseArguments(argv: readonly string[]): Settings {
  const command = new Command("npm run chat --")
    .description("Private chat over Waku in the terminal. Type /help once it runs.")
    .option(
      "--name <name>",
      "your profile: a database of its own. Those you chat with see this name",
      profileName,
      "me",
    )
    .option("--data-folder <path>", "where profiles are kept", defaultDataFolder())
    .option("--node <multiaddr...>", "websocket address of a Waku service node, instead of the local one")
    .option("--discover", "find service nodes in the public lists, instead of the local one", false)
    .option("--local-port <port>", "websocket port of the local node", port, LOCAL_WEBSOCKET_PORT)
    .option("--cluster <id>", "Waku cluster", wholeNumber, 42)
    .option("--shards <count>", "shards of the cluster", wholeNumber, 8)
    .option("--passphrase-file <path>", "read the passphrase from the first line of this file")
    .option("--unprotected", "a new profile without a passphrase: whoever reads the file reads everything", false)
    .option("--accept-rollback", "open an old copy of the database; conversations must be repaired then", false)
    .option("--verbose", "write what the SDK does to chat.log in the profile's folder", false)
    .allowExcessArguments(false)
    .showHelpAfterError("(--help shows the options)")
    .parse(argv);
  return { node: [], ...command.opts<Omit<Settings, "node"> & { node?: string[] }>() };
}

function profileName(text: string): string {
  // It names a folder.
  if (!/^[\p{L}\p{N}][\p{L}\p{N}_.-]{0,23}$/u.test(text)) {
    throw new InvalidArgumentError("Take 1 to 24 letters, digits, dots, dashes and underscores.");
  }
  return text;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("A whole number is needed.");
  return Number(text);
}

function port(text: string): number {
  const number = wholeNumber(text);
  // The node takes the port below it for TCP.
  if (number < 2 || number > 65_535) throw new InvalidArgumentError("A port from 2 to 65535 is needed.");
  return number;
}

function defaultDataFolder(): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = process.env;
  return join(XDG_DATA_HOME || LOCALAPPDATA || join(homedir(), ".local", "share"), "chatsdk-cli");
}
