import { test } from "vitest";
import { buildScene, conversationOf } from "../fuzz/scene.ts";
test("probe", () => {
  const s = buildScene();
  console.log(s.held.map((h) => `${h.from} ${h.publishId} ${h.payload.length}`).join("\n"));
  console.log(s.accepted.length, s.acceptedSetUps.length, s.own.length, s.foreign.length);
  console.log(s.victor.eventsOf("inviteReused").length, s.victor.texts.join("|"));
  for (const h of [...s.accepted, ...s.own, ...s.foreign]) {
    const o = s.victor.machine.prepare(s.world.nowMs, { case: "envelopeReceived", value: { topic: "", payload: h } });
    if (o.changes.length) console.log("CHANGES", o.changes.length);
  }
  for (const h of s.held) {
    const o = s.victor.machine.prepare(s.world.nowMs, { case: "envelopeReceived", value: { topic: "", payload: h.payload } });
    console.log(h.from, o.changes.length, o.events.map((e) => e.event.case).join());
  }
  console.log(conversationOf(s.victor, s.conversations.cat).session!.skipped.map((x) => x.numbers));
});
