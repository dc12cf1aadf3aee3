import { join } from "node:path";
import { type ChatClient, silentLogger } from "@chatsdk/client";
import { parseArguments, type Settings } from "./arguments.ts";
import { completions, runLine } from "./commands.ts";
import { Contacts } from "./contacts.ts";
import { explain } from "./errors.ts";
import { logTo } from "./log-file.ts";
import { openProfile, profileFolder } from "./open-profile.ts";
import { PlainScreen } from "./plain-screen.ts";
import type { Screen } from "./screen.ts";
import { Session } from "./session.ts";
import { SharedNode } from "./shared-node.ts";
import { TerminalScreen } from "./terminal-screen.ts";
import { dim } from "./view.ts";

async function main(settings: Settings): Promise<void> {
  const { node: addresses, discover, localPort, dataFolder, verbose } = settings;
  const folder = profileFolder(settings);
  const node = addresses.length === 0 && !discover ? new SharedNode(localPort, dataFolder) : undefined;
  try {
    if (await node?.ensure()) console.log(nodeStarted(localPort));
    const client = await openProfile(settings, verbose ? logTo(join(folder, "chat.log")) : silentLogger);
    try {
      await chat(client, settings, node);
    } finally {
      await client.close();
    }
  } finally {
    await node?.stop();
  }
}

async function chat(client: ChatClient, settings: Settings, node: SharedNode | undefined): Promise<void> {
  const account = await client.defaultAccount();
  const contacts = new Contacts(join(profileFolder(settings), "contacts.json"));
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const screen: Screen = isTerminal ? new TerminalScreen(completions) : new PlainScreen();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => screen.close());
  node?.keep(
    () => !client.online,
    () => screen.print(nodeStarted(settings.localPort)),
  );
  const session = new Session({ client, account, screen, contacts, name: settings.name });
  await session.inTurn(() => session.begin());
  const events = showEvents(client, session);
  for await (const line of screen.lines()) {
    if (line.trim() === "/quit") break;
    await session.inTurn(() => runLine(session, line));
  }
  await session.inTurn(() => session.leave());
  screen.close();
  await client.close();
  await events;
}

async function showEvents(client: ChatClient, session: Session): Promise<void> {
  for await (const event of client.events()) await session.inTurn(() => session.handle(event));
}

function nodeStarted(port: number): string {
  return dim(`No local Waku node was running: started one on port ${port}.`);
}

try {
  await main(parseArguments(process.argv));
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
