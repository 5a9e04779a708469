/** The plan in words and columns. */
import type { Capacity } from './capacity.ts'
import { type Cost, countOf } from './cost.ts'
import type { PlanInput } from './input.ts'
import type { Item, Part, WayName } from './model.ts'
import { type Meter, PLAN_DOLLARS, PRICES, type Price } from './prices.ts'

const WAYS: readonly { readonly name: WayName; readonly title: string }[] = [
  { name: 'bundles', title: 'bundles' },
  { name: 'oneKey', title: 'one KV value each' },
  { name: 'onDemand', title: 'signed on demand' },
]

const PARTS: Readonly<Record<Part, string>> = {
  record: 'certificates recorded',
  revoke: 'revocations',
  overlay: 'overlay published',
  plan: 'what is due looked up',
  build: 'responses signed and written',
  prune: 'certificates that ended',
  store: 'kept',
  traffic: 'traffic',
}
const ORDER: readonly Part[] = ['record', 'revoke', 'overlay', 'plan', 'build', 'prune', 'store', 'traffic']

const NAME_WIDTH = 34
const COLUMN_WIDTH = 24

export type Ways = Readonly<Record<WayName, { readonly items: readonly Item[]; readonly cost: Cost }>>

export function printPlan(input: PlanInput, ways: Ways, capacity: Capacity): string {
  return [
    `${count(input.certs)} certificates of ${count(input.issuers)} issuer${input.issuers === 1 ? '' : 's'}, ${input.algorithm.name}, ${input.hashes} hash${input.hashes === 1 ? '' : 'es'}, validity ${duration(input.validitySeconds)}, lifetime ${duration(input.lifetimeSeconds)};`,
    `${count(input.issuedPerDay)} issued and ${count(input.revokedPerDay)} revoked a day; ${count(input.requests)} requests a month, ${percent(input.cacheHit)} answered from memory or cache; ${input.queue ? 'with' : 'without'} a queue.`,
    '',
    ...costTable(ways),
    '',
    ...capacityTable(capacity),
  ]
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function costTable(ways: Ways): string[] {
  const lines = [
    line(
      'a month',
      WAYS.map(({ title }) => title),
    ),
  ]
  for (const price of PRICES) lines.push('', ...meterRows(price, ways))
  const sums = (title: string, of: (cost: Cost) => number) =>
    line(
      title,
      WAYS.map(({ name }) => dollars(of(ways[name].cost))),
    )
  return [
    ...lines,
    '',
    sums('before traffic', ({ before }) => before),
    sums('traffic', ({ traffic }) => traffic),
    sums('Workers Paid plan', () => PLAN_DOLLARS),
    sums('together', ({ total }) => total),
  ]
}

/** Of a meter: the sum with its price, and what it comes from. */
function meterRows({ meter, name, included, dollars: price, per }: Price, ways: Ways): string[] {
  const sums = WAYS.map(({ name: way }) => {
    const all = countOf(ways[way].items, meter)
    const cost = ways[way].cost.meters.find((one) => one.meter === meter)
    return all === 0
      ? '-'
      : `${amount(meter, all)} ${dollars((cost?.dollarsBefore ?? 0) + (cost?.dollarsTraffic ?? 0)).padStart(9)}`
  })
  const title = `${name} (${amount(meter, included)} free, $${price}${per === 1 ? '' : '/M'})`
  const parts = ORDER.flatMap((part) => {
    const counts = WAYS.map(({ name: way }) => countOf(ways[way].items, meter, (item) => item.part === part))
    if (counts.every((one) => one === 0)) return []
    return [
      line(
        `  ${PARTS[part]}`,
        counts.map((one) => (one === 0 ? '-' : `${amount(meter, one)}${' '.repeat(10)}`)),
      ),
    ]
  })
  return [
    title,
    ...(parts.length > 1
      ? [...parts, line('  together', sums)]
      : [line(`  ${PARTS[onlyPart(meter, ways)]}`, sums)]),
  ]
}

function onlyPart(meter: Meter, ways: Ways): Part {
  const found = WAYS.flatMap(({ name }) => ways[name].items).find((item) => item.meter === meter)
  return found?.part ?? 'store'
}

function capacityTable(c: Capacity): string[] {
  const row = (name: string, value: string) => `${name.padEnd(NAME_WIDTH)} ${value}`
  return [
    'capacity, bundles',
    row(
      '  slots',
      `${count(c.slots)}, each of ${count(Math.round(c.certificatesInSlot))} certificates, ${Math.round(c.bundleBytes / 1_000)} KB`,
    ),
    row(
      '  builds and signatures a second',
      `${c.buildsPerSecond.toFixed(2)} and ${count(Math.round(c.signaturesPerSecond))}`,
    ),
    row('  builders at work, on average', `${c.builders.toFixed(2)} (250 consumers at most)`),
    row('  KV operations a second', c.kvOperationsPerSecond.toFixed(1)),
    row(
      '  D1',
      `${c.databaseGigabytes.toFixed(1)} GB of 10: ${c.databases} database${c.databases === 1 ? '' : 's'}`,
    ),
    row(
      '  overlay',
      `${count(Math.round(c.overlayItems))} items, root of ${Math.ceil(c.rootBytes / 1_000)} KB`,
    ),
    row('  in no bundle yet', `${count(Math.round(c.waiting))} certificates, answered live`),
    row('  requests a second, on average', count(Math.round(c.requestsPerSecond))),
  ]
}

function line(name: string, columns: readonly string[]): string {
  return name.padEnd(NAME_WIDTH) + columns.map((column) => column.padStart(COLUMN_WIDTH)).join('')
}

/** Millions, or gigabytes. */
export function amount(meter: Meter, value: number): string {
  if (meter === 'kvGigabytes' || meter === 'd1Gigabytes') return `${value.toFixed(2)} GB`
  const millions = value / 1e6
  return `${millions >= 100 ? Math.round(millions).toLocaleString('en-US') : millions.toFixed(millions >= 10 ? 1 : 2)} M`
}

export function dollars(value: number): string {
  return `$${value >= 1_000 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2)}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`
}

function duration(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`
  return seconds % 3_600 === 0 ? `${seconds / 3_600} h` : `${Math.round(seconds / 60)} min`
}
