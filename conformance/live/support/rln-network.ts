import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { storedMessages } from "../../../bindings-ts/live/stored-messages.ts";
import { circuitFiles } from "../../../bindings-ts/test/rln-support/circuit.ts";
import { type LocalNode, rlnNodeBinary, startNode } from "../../src/local-network.ts";

export interface GroupPlan {
  members: number;
  /** Of each member, in an epoch. */
  limit: number;
  epochSeconds: number;
}

/** The node's tally at its end: how many messages it let through, and how many of each kind of spam it refused. */
export type Tally = Record<string, number>;

/** A service node that verifies the proofs of a group's members, with what it logs about them, and the members' files. */
export class RlnNetwork {
  readonly node: LocalNode;
  readonly plan: GroupPlan;
  readonly circuitFolder = dirname(circuitFiles().provingKey);
  readonly #folder: string;
  readonly #log: readonly string[];

  private constructor(node: LocalNode, plan: GroupPlan, folder: string, log: readonly string[]) {
    this.node = node;
    this.plan = plan;
    this.#folder = folder;
    this.#log = log;
  }

  static async start(plan: GroupPlan): Promise<RlnNetwork> {
    const folder = mkdtempSync(join(tmpdir(), "chatsdk-rln-"));
    const size = ["--members", `${plan.members}`, "--limit", `${plan.limit}`, "--epoch", `${plan.epochSeconds}`];
    const group = join(folder, "group");
    execFileSync(rlnNodeBinary(), ["rln-group", ...size, "--out", group]);
    const log: string[] = [];
    const node = await startNode({
      binary: rlnNodeBinary(),
      // On a busy machine a proof takes longer than a message may usually be old.
      args: ["--rln-group", join(group, "group.json"), "--max-clock-skew", "10m"],
      onLog: (line) => log.push(line),
    });
    return new RlnNetwork(node, plan, folder, log);
  }

  get groupFile(): string {
    return join(this.#folder, "group", "group.json");
  }

  credentialsFile(member: number): string {
    return join(this.#folder, "group", `member-${member}.json`);
  }

  /** Unix time in milliseconds, divided by the length of an epoch. */
  get epoch(): number {
    return Math.floor(Date.now() / this.#epochMs);
  }

  get #epochMs(): number {
    return this.plan.epochSeconds * 1000;
  }

  /** Waits for a moment that has at least so much of its epoch before it, so that what follows falls into one. */
  async roomInEpoch(atLeastMs: number): Promise<void> {
    const left = this.#epochMs - (Date.now() % this.#epochMs);
    if (left < atLeastMs) await pause(left + 50);
  }

  /** Waits for a moment so long before the end of an epoch. */
  async beforeEndOfEpoch(leftMs: number): Promise<void> {
    const left = this.#epochMs - (Date.now() % this.#epochMs);
    await pause(left > leftMs ? left - leftMs : left + this.#epochMs - leftMs);
  }

  /** Every stored message has a proof, and no slot was used for two: a nullifier is that of member, epoch and message id. Returns how many. */
  async expectNoSlotTwice(topics: readonly string[]): Promise<number> {
    const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
    const messages = await storedMessages(this.node.websocket, topics);
    const slots = messages.map(
      ({ rateLimitProof: proof }) => `${hex(proof?.epoch.subarray(0, 8))} ${hex(proof?.nullifier)}`,
    );
    expect(slots.filter((slot) => !/^[0-9a-f]{16} [0-9a-f]{64}$/.test(slot))).toEqual([]);
    expect(slots.filter((slot, index) => slots.indexOf(slot) !== index)).toEqual([]);
    return messages.length;
  }

  /** Ends the node: it has let through at least so many messages and refused none. */
  async expectNothingRefused(acceptedAtLeast: number): Promise<void> {
    await this.node.stop();
    const said = (what: string) => this.#log.filter((line) => line.split("\t")[3] === what);
    expect(said("spam refused")).toEqual([]);
    expect(said("message refused")).toEqual([]);
    const [end] = said("RLN is off");
    const { accepted, ...refused } = JSON.parse(end?.split("\t")[4] ?? "{}") as Tally;
    expect(accepted).toBeGreaterThanOrEqual(acceptedAtLeast);
    expect(Object.values(refused)).toEqual(Array(6).fill(0));
  }

  async close(): Promise<void> {
    await this.node.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
