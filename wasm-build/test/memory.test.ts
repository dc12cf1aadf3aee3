import { expect, test } from "vitest";
import { Conversation } from "../../bench/hosts/conversation.ts";
import { ModuleEngine } from "../../bench/hosts/engines.ts";
import { committedModule } from "../../conformance/src/module-engine.ts";

const [FEW, MANY] = [500, 2500];
/** A result that is not given back grows it by 1.3 KiB a message. */
const ALLOWED_BYTES = 2 ** 20;

test("S4: the memory of an instance does not grow with its messages", () => {
  const module = committedModule();
  const conversation = new Conversation(() => new ModuleEngine(module));
  const memoryAfter = (messages: number): number => {
    while (conversation.messages < messages) conversation.exchange();
    return conversation.memoryBytes;
  };
  const [few, many] = [memoryAfter(FEW), memoryAfter(MANY)];
  expect(few).toBeGreaterThan(0);
  expect(many - few, `${few} bytes after ${FEW} messages`).toBeLessThanOrEqual(ALLOWED_BYTES);
});
