import { appendFileSync } from "node:fs";
import type { Logger } from "@chatsdk/client";

/** Appends what the SDK says of itself to a file. The SDK's lines hold no secrets and no message contents. */
export function logTo(file: string): Logger {
  const line = (level: string) => (message: string) =>
    appendFileSync(file, `${new Date().toISOString()} ${level} ${message}\n`, { mode: 0o600 });
  const logger = { debug: line("debug"), info: line("info"), warn: line("warn") };
  logger.info(`started, Node ${process.version}`);
  return logger;
}
