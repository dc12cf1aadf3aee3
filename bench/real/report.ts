import type { Measurements } from "../shard/measurements.ts";
import { percentile } from "../shard/report.ts";
import { table } from "../src/measure.ts";
import { RLN_FIELD_LENGTH, shardMbps } from "../src/waku-message.ts";
import { calculatedLinks, type Figures, observed, simulated, streams } from "./compare.ts";
import type { RealMeasurements, RealOptions } from "./run.ts";

const USERS = 10_000;

export interface Simulations {
  /** As bench:shard has it. */
  usual: Measurements;
  /** With delays that are evenly distributed around the mean that was measured. */
  asFast: Measurements;
}

/** Real clients and the simulation side by side, in Markdown. */
export function report(options: RealOptions, measured: RealMeasurements, simulations: Simulations): string {
  const columns = [observed(measured), simulated(simulations.usual), simulated(simulations.asFast)];
  return [
    `${options.clients} ${options.language} clients, ${options.minutes} minutes, ${options.perMinute} messages a minute each, ` +
      `seed ${options.seed}, ${options.rln ? "RLN" : "no RLN"}; load ${measured.load.map((load) => load.toFixed(1)).join(" to ")}`,
    ["## The shard: each WakuMessage once", shard(columns, options.rln)],
    ["## The run", run(measured)],
    ["## Links between clients and node", links(measured)],
  ]
    .map((part) => (typeof part === "string" ? part : part.join("\n\n")))
    .join("\n\n");
}

function shard(columns: readonly Figures[], rln: boolean): string {
  const row = (name: string, of: (figures: Figures) => number, digits: number): string[] => {
    const [real, ...others] = columns.map(of) as [number, ...number[]];
    const ratios = others.map((other) => (other === 0 ? "–" : (real / other).toFixed(3)));
    return [name, real.toFixed(digits), ...others.map((other, i) => `${other.toFixed(digits)} (${ratios[i]})`)];
  };
  const each = (name: string, of: (figures: Figures) => number, digits = 3): string[] =>
    row(`${name} per user message`, (figures) => of(figures) / figures.messages, digits);
  const publications = ({ messages, resends, syncs }: Figures): number => messages + resends + syncs;
  const counted = (figures: Figures): number => figures.bytes + publications(figures) * RLN_FIELD_LENGTH;
  const seconds = (name: string, share: number): string[] =>
    row(`confirmed after, ${name}, s`, ({ confirmedAfterMs }) => percentile(confirmedAfterMs, share) / 1000, 2);
  const mbps = (of: (figures: Figures) => number) => (figures: Figures) =>
    shardMbps(of(figures) / figures.messages, USERS);
  const proof = `field 21 of ${RLN_FIELD_LENGTH} bytes counted`;
  return table(
    ["figure", "real", "simulation (real / simulation)", "simulation, real mean delay (real / simulation)"],
    [
      row("user messages", ({ messages }) => messages, 0),
      each("publications", publications),
      each("bare acknowledgements and repair requests", ({ syncs }) => syncs),
      each("resends", ({ resends }) => resends),
      row("bytes of a publication, without field 21", (figures) => figures.bytes / publications(figures), 2),
      each("bytes, without field 21,", ({ bytes }) => bytes, 1),
      each(`bytes, ${proof},`, counted, 1),
      ...(rln
        ? [
            row("bytes of field 21, each", (figures) => figures.proofBytes / publications(figures), 2),
            each("**bytes, real field 21**", ({ bytes, proofBytes }) => bytes + proofBytes, 1),
          ]
        : []),
      row(
        `Mbps at ${USERS} users, without field 21`,
        mbps(({ bytes }) => bytes),
        3,
      ),
      row(`**Mbps at ${USERS} users, ${proof}**`, mbps(counted), 3),
      seconds("median", 0.5),
      seconds("90%", 0.9),
      seconds("99%", 0.99),
    ],
  );
}

function run(measured: RealMeasurements): string {
  const { published, writtenInAll, receivedAfterMs, stored, uses, residentBytes } = measured;
  const ms = (share: number): string => `${percentile(receivedAfterMs, share).toFixed(0)} ms`;
  const used = uses.map((use) => use.used);
  const bytes = published.reduce((sum, one) => sum + one.bytes, 0);
  return table(
    ["figure", "value"],
    [
      [
        "written in all; unconfirmed at the end, failed, lost",
        `${writtenInAll}; ${measured.unconfirmed}, ${measured.failed}, ${measured.lost}`,
      ],
      [
        "shown to the peer after (median, 90%, 99%, most, mean)",
        [...[0.5, 0.9, 0.99, 1].map(ms), `${mean(receivedAfterMs).toFixed(0)} ms`].join(", "),
      ],
      ["messages and bytes by the store protocol", `${published.length}, ${bytes}`],
      ["messages and bytes in the node's file", `${stored.messages}, ${stored.bytes}`],
      ...(uses.length === 0
        ? []
        : [
            [
              "slots used by all clients; median, most of one client",
              `${used.reduce((a, b) => a + b, 0)}; ${percentile(used, 0.5)}, ${Math.max(...used)}`,
            ],
            ["clients with messages that wait for quota", uses.filter(({ waiting }) => waiting > 0).length],
          ]),
      ["complaints in the node's log", measured.complaints.length],
      ["connections of all clients", measured.connections],
      [
        "resident memory of a client (median, most)",
        [0.5, 1].map((share) => `${(percentile(residentBytes, share) / 2 ** 20).toFixed(0)} MiB`).join(", "),
      ],
    ],
  );
}

function links(measured: RealMeasurements): string {
  const { windowMs, idle, link, clients } = measured;
  const calculated = calculatedLinks(measured);
  const kbps = (bytes: number, ms: number): number => (bytes * 8) / ms / clients.length;
  const asKbps = (bitsPerSecond: number): number => bitsPerSecond / 1000 / clients.length;
  const parts = [calculated.lightPush, calculated.filter, calculated.store];
  const protocol = asKbps(parts.reduce((sum, part) => sum + part, 0));
  const real = kbps(link.up + link.down, windowMs);
  const idleKbps = kbps(idle.bytes.up + idle.bytes.down, idle.ms);
  const perStream = ((real - protocol) * windowMs * clients.length) / 8 / streams(measured);
  return table(
    ["kbps of each client, both directions", "value"],
    [
      ["real: all bytes of TCP's payload", real.toFixed(2)],
      ["- up", kbps(link.up, windowMs).toFixed(2)],
      ["- down", kbps(link.down, windowMs).toFixed(2)],
      ["real, before anybody wrote", idleKbps.toFixed(3)],
      ["calculated as bench:shard does: light push", asKbps(calculated.lightPush).toFixed(2)],
      ["- filter", asKbps(calculated.filter).toFixed(2)],
      ["- store", asKbps(calculated.store).toFixed(2)],
      ["real / calculated", (real / protocol).toFixed(3)],
      ["the rest (libp2p, watchdog), bytes for each stream of light push and filter", perStream.toFixed(0)],
    ],
  );
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
