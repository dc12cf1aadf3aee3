import { create } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { text } from "../../src/people.ts";
import { DAY, HOUR, MINUTE, refused, restart, SECOND, type Stage, UNKNOWN_ID } from "../stage.ts";
import { ChangeSchema } from "@chatsdk/abi/host_pb";
import { ChatError } from "@chatsdk/core";

/** Links of both kinds, used once, twice, by several, too late, and after they were revoked; one answered after days offline. */
export function invites(maximumSuite: number) {
  return (stage: Stage): void => {
    const config = { maximumSuite, historyIntervalMs: DAY };
    const [bob, alice] = [stage.person("bob", config), stage.person("alice", config)];
    const [carol, dave] = [stage.extra("carol", config), stage.extra("dave", config)];
    const { world } = stage;
    const single = bob.invite();
    alice.call({ case: "inspectInvite", value: { link: `\n${single} ` } }, "inviteDetails");
    const id = alice.accept(single, "from alice");
    world.run(SECOND);
    carol.accept(single, "too late");
    world.run(MINUTE);
    if (bob.eventsOf("inviteReused").length !== 1) throw new Error("the second use was not reported");
    bob.send(id, "answer");
    world.run(MINUTE);

    const reusable = bob.invite(true);
    for (const person of [carol, dave]) person.accept(reusable, `from ${person.machine.name}`);
    world.run(MINUTE);
    bob.call({ case: "listInvites", value: { accountId: bob.accountId } }, "invites");

    const revoked = bob.call({ case: "createInvite", value: { accountId: bob.accountId } }, "invite");
    bob.call({ case: "revokeInvite", value: { inviteId: revoked.inviteId } }, "done");
    dave.accept(revoked.link, "revoked");
    world.run(MINUTE);

    // The author is away; both write before the first answer.
    const away = bob.invite();
    world.switchOff(bob.machine);
    const later = dave.accept(away, "while you were away");
    dave.send(later, "and more");
    world.run(2 * DAY);
    world.switchOn(bob.machine);
    world.run(MINUTE);
    bob.send(later, "back");
    world.run(HOUR);

    // Each accepts a link of the other at the same time.
    const [first, second] = [bob.invite(), alice.invite()];
    alice.accept(first, "crossing");
    bob.accept(second, "crossing as well");
    world.run(HOUR);

    const short = bob.call({ case: "createInvite", value: { accountId: bob.accountId, validForMs: 5000n } }, "invite");
    world.run(6 * SECOND);
    refused(alice, { case: "inspectInvite", value: { link: short.link } }, "INVITE_EXPIRED");
    world.run(9 * DAY);
    restart(bob);
    world.run(MINUTE);
  };
}

/** Links that cannot be used here, and calls about invites that fail. */
export function refusals(stage: Stage): void {
  const [alice, bob] = [stage.person("alice"), stage.person("bob", { maximumSuite: 1 })];
  const strict = stage.person("strict", { minimumSuite: 2 });
  const elsewhere = stage.extra("elsewhere", { clusterId: 1, appName: "other" });
  const { world } = stage;
  const accepting = (link: string) => ({
    case: "acceptInvite" as const,
    value: { accountId: alice.accountId, link, content: text("hello") },
  });
  const link = bob.invite();
  const inspecting = (value: string) => ({ case: "inspectInvite" as const, value: { link: value } });
  for (const broken of ["", "https://example.org", link.slice(1), link.slice(0, -1), `${link}A`, link.toUpperCase()])
    refused(alice, accepting(broken), "INVALID_INVITE");
  refused(alice, inspecting(link.replace("_2_", "_3_")), "UNSUPPORTED_VERSION");
  refused(alice, accepting(elsewhere.invite()), "INVITE_WRONG_NETWORK");
  refused(alice, accepting(alice.invite()), "INVITE_OWN");
  refused(strict, inspecting(link), "UNSUPPORTED_SUITE");
  refused(alice, { case: "acceptInvite", value: { accountId: alice.accountId, link } }, "INVALID_ARGUMENT");
  const unknown = { accountId: UNKNOWN_ID };
  refused(alice, { case: "createInvite", value: unknown }, "ACCOUNT_NOT_FOUND");
  refused(alice, { case: "listInvites", value: unknown }, "ACCOUNT_NOT_FOUND");
  refused(alice, { case: "deleteAccount", value: unknown }, "ACCOUNT_NOT_FOUND");
  refused(alice, { case: "acceptInvite", value: { ...unknown, link, content: text("x") } }, "ACCOUNT_NOT_FOUND");
  refused(alice, { case: "revokeInvite", value: { inviteId: "0011223344556677" } }, "INVITE_NOT_FOUND");
  const tooLong = { accountId: alice.accountId, validForMs: BigInt(366 * DAY) };
  refused(alice, { case: "createInvite", value: tooLong }, "INVALID_ARGUMENT");
  alice.accept(link);
  refused(alice, accepting(link), "INVITE_ALREADY_ACCEPTED");
  world.run(MINUTE);
}

/** More than one account; deletion of conversations and accounts with everything that hangs on them. */
export function deletion(stage: Stage): void {
  const [bob, alice] = [stage.person("bob"), stage.person("alice")];
  const { world } = stage;
  const work = bob.call({ case: "createAccount", value: {} }, "account");
  bob.call({ case: "listAccounts", value: {} }, "accounts");
  const links = [bob.accountId, work.accountId].map(
    (accountId) => bob.call({ case: "createInvite", value: { accountId, reusable: true } }, "invite").link,
  );
  const [first, second] = links.map((link, i) => alice.accept(link, `to account ${i}`)) as [string, string];
  world.run(MINUTE);
  for (const id of [first, second]) bob.send(id, "answer");
  world.run(5 * MINUTE);
  world.switchOff(alice.machine);
  bob.send(first, "waits");
  bob.call({ case: "deleteConversation", value: { conversationId: first } }, "done");
  world.switchOn(alice.machine);
  alice.send(first, "anybody there?");
  world.run(HOUR);
  bob.call({ case: "createInvite", value: { accountId: work.accountId } }, "invite");
  bob.call({ case: "deleteAccount", value: { accountId: work.accountId } }, "done");
  alice.send(second, "too late");
  world.run(HOUR);
  restart(bob);
  world.run(MINUTE);
}

/** A database that is not protected: messages are stored as they are. */
export function unprotected(stage: Stage): void {
  const alice = stage.person("alice", {}, "unprotected");
  const bob = stage.extra("bob");
  const { world } = stage;
  const id = alice.accept(bob.invite());
  world.run(MINUTE);
  bob.send(id, "readable by any tool");
  alice.send(id, "so is this");
  world.run(MINUTE);
  restart(alice);
  alice.send(id, "and this");
  world.run(5 * MINUTE);
}

/** Records that are damaged: the step fails, the rest of the database goes on. */
export function damaged(stage: Stage): void {
  const [alice, bob, carol] = [stage.person("alice"), stage.extra("bob"), stage.extra("carol")];
  const { world } = stage;
  const [id, other] = [alice.accept(bob.invite()), alice.accept(carol.invite())];
  world.run(MINUTE);
  const { disk, core } = alice.machine;
  const key = `conv/${id}`;
  const whole = disk.records.get(key)!;
  const write = (value: Uint8Array) =>
    disk.apply(create(ChangeSchema, { change: { case: "put", value: { key, value } } }));
  const broken = Uint8Array.from(whole);
  broken[40]! ^= 1;
  for (const value of [broken, whole.slice(0, 20), new Uint8Array(0)]) {
    write(value);
    try {
      alice.send(id, "into a damaged record");
      throw new Error("the damage was not noticed");
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== ErrorCode.DATABASE_CORRUPT) throw error;
      core.commitFailed();
    }
  }
  alice.send(other, "the other conversation goes on");
  world.run(MINUTE);
  write(whole);
  alice.send(id, "repaired by hand");
  world.run(10 * MINUTE);
}
