/** What the shard carries with so many users. */
export interface Point {
  users: number;
  mbps: number;
}

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 70;
const TOP = 50;
const RIGHT = 30;
const BOTTOM = 60;
const MBPS = { least: 0.01, most: 20 };
const TICKS = [0.01, 0.1, 1, 10];
const LIMITS = [
  { mbps: 10, name: "P1: 10 Mbps" },
  { mbps: 5, name: "goal: 5 Mbps" },
];

const scale = (value: number, { least, most }: { least: number; most: number }): number =>
  Math.log(value / least) / Math.log(most / least);
const y = (mbps: number): string => (HEIGHT - BOTTOM - scale(mbps, MBPS) * (HEIGHT - TOP - BOTTOM)).toFixed(1);

/** Mbps against users, both logarithmic, as an SVG document. */
export function plot(points: readonly Point[], subtitle: string): string {
  const population = { least: points[0]!.users, most: points.at(-1)!.users };
  const x = (users: number): string => (LEFT + scale(users, population) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const across = (mbps: number, attributes: string): string =>
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(mbps)}" y2="${y(mbps)}" ${attributes}/>`;
  const ticks = TICKS.map(
    (mbps) =>
      `${across(mbps, 'stroke="#ddd"')}<text x="${LEFT - 8}" y="${y(mbps)}" dy="4" text-anchor="end">${mbps}</text>`,
  );
  const limits = LIMITS.map(
    ({ mbps, name }) =>
      `${across(mbps, 'stroke="#c33" stroke-dasharray="6 4"')}<text x="${LEFT + 8}" y="${y(mbps)}" dy="-5" fill="#c33">${name}</text>`,
  );
  const marks = points.map(({ users, mbps }) =>
    [
      `<text x="${x(users)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${users.toLocaleString("en")}</text>`,
      `<circle cx="${x(users)}" cy="${y(mbps)}" r="4" fill="#25c"/>`,
      `<text x="${x(users)}" y="${y(mbps)}" dx="-8" dy="20" text-anchor="${users === population.most ? "end" : "start"}" fill="#25c">${mbps.toFixed(2)}</text>`,
    ].join(""),
  );
  const line = points.map(({ users, mbps }) => `${x(users)},${y(mbps)}`).join(" ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="22" font-size="15">Traffic of one shard, every WakuMessage once, with RLN proofs</text>
<text x="${LEFT}" y="38" fill="#555">${subtitle}</text>
${[...ticks, ...limits].join("\n")}
<polyline points="${line}" fill="none" stroke="#25c" stroke-width="2"/>
${marks.join("\n")}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 18}" text-anchor="middle">users</text>
<text transform="translate(20 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">Mbps</text>
</svg>
`;
}
