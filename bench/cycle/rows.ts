/** What a cycle, or a series of them, shows: rows with the limits of the project. docs/benchmarks.md explains them. */
import { atLeast, atMost, judge, type Measurement, type Row } from '../measurement.ts'
import type { Cycle } from './cycle.ts'
import { exponentOf } from './growth.ts'
import type { HeapSize } from './heap-watch.ts'
import type { MeterReading } from './meter.ts'
import { sumOf } from './readings.ts'

const MEGABYTE = 1_000_000

/** @param verify answers that openssl was to verify */
export function cycleRows(cycle: Cycle, verify: number): Row[] {
  return [...stageRows(cycle), ...signingRows(cycle), ...costRows(cycle), ...soundRows(cycle, verify)].map(
    judge,
  )
}

const responsesOf = ({ certificates, hashes }: Cycle) => certificates * hashes
const stored = ({ signReading, k }: Cycle) => signReading.bundlesByK[k] ?? { bundles: 0, bytes: 0 }

/** Waiting for the simulated storage, ms. */
const storage = (reading: MeterReading) => sumOf(reading, 'rows', 'record', 'leases', 'read', 'write')

function stageRows({ certificates, importMs, signMs, signReading, verified, runs }: Cycle): Measurement[] {
  const seconds = (name: string, ms: number, detail: string): Measurement => ({
    ...{ name, value: ms / 1000, unit: 's', detail },
  })
  const perSecond = (count: number, ms: number) => `${Math.round((count * 1000) / ms)}/s`
  const signing = sumOf(signReading, 'rows', 'sign', 'check')
  return [
    seconds(
      'import',
      importMs,
      `${certificates} rows, ${perSecond(certificates, importMs)}, by "edge-ocsp import openssl-index"`,
    ),
    seconds(
      'plan, sign and write',
      signMs,
      `${signReading.signatures} signatures, ${perSecond(signReading.signatures, signMs)}, ${runs} runs of the cron job`,
    ),
    seconds('  plan', sumOf(signReading, 'leases', 'rest'), 'due slots, leases, growth, heartbeat'),
    seconds('  sign', signing, 'rows from D1, signatures, bundle, self-check'),
    seconds(
      '  write',
      sumOf(signReading, 'read', 'write', 'record'),
      'the bundle before, the bundle, the note in D1',
    ),
    seconds(
      'verify',
      verified.fetchMs + verified.opensslMs,
      `${verified.answers} answers: asked ${perSecond(verified.answers, verified.fetchMs)}, openssl ${perSecond(verified.answers, verified.opensslMs)}`,
    ),
  ]
}

function signingRows(cycle: Cycle): Measurement[] {
  const { signReading, signMs, signProcessorMs, bare, bareSignMs, algorithm } = cycle
  const { signatures, spent } = signReading
  const limit = atLeast(algorithm.includes('RSA') ? 0.95 : 0.7)
  const each = (ms: number) => ((ms * 1000) / signatures).toFixed(1)
  const bareProcessor = bare.processorMs / bare.count
  return [
    {
      name: 'signing stage: bare signing / whole stage',
      value: bareSignMs / signMs,
      unit: 'ratio',
      limit,
      detail: `${each(signMs)} us a signature, bare ${each(bareSignMs)} us`,
    },
    {
      name: '  the same apart from the simulated storage',
      value: bareSignMs / (signMs - storage(signReading)),
      unit: 'ratio',
      detail: `${each(storage(signReading))} us of each signature are waiting for D1 and KV`,
    },
    {
      name: "  the same by processor time of the Worker's workerd",
      value: (signatures * bareProcessor) / signProcessorMs,
      unit: 'ratio',
      detail: `${each(signProcessorMs)} us a signature, bare ${(bareProcessor * 1000).toFixed(1)} us`,
    },
    {
      name: '  where a signature spends its time',
      value: (signMs * 1000) / signatures,
      unit: 'us',
      detail: [
        `signing loop and bundle ${each(spent.sign)}`,
        `self-check ${each(spent.check)}`,
        `D1 rows ${each(spent.rows)}`,
        `D1 record ${each(spent.record)}`,
        `D1 plan ${each(spent.leases)}`,
        `KV read ${each(spent.read)}`,
        `KV write ${each(spent.write)}`,
        `rest ${each(signMs - (storage(signReading) + sumOf(signReading, 'sign', 'check')))}`,
      ].join(', '),
    },
  ]
}

function costRows(cycle: Cycle): Measurement[] {
  const { signReading, importReading, algorithm, heap, heapByStage, k } = cycle
  const megabytes = (octets: number) => (octets / MEGABYTE).toFixed(0)
  const inStage = ({ peak, heap, buffers }: HeapSize) =>
    `${megabytes(peak)} (${megabytes(heap)} + ${megabytes(buffers)})`
  const responses = responsesOf(cycle)
  const { bundles, bytes } = stored(cycle)
  const grown = signReading.bundleWrites - bundles
  return [
    {
      name: 'isolate memory at its highest',
      value: heap.peak / MEGABYTE,
      unit: 'MB',
      limit: atMost(96),
      detail: `V8 heap + ArrayBuffers: import ${inStage(heapByStage.import)}, sign ${inStage(heapByStage.sign)}, verify ${inStage(heapByStage.verify)}; ${heap.samples} samples, at most ${heap.longestGapMs} ms apart`,
    },
    {
      name: 'KV writes per million responses and hash',
      value: (signReading.writes / responses) * 1e6,
      unit: '',
      limit: atMost(2_000),
      detail: `${signReading.writes} writes, ${signReading.bundleWrites} of them bundles, ${bundles} of these at the last k = ${k}`,
    },
    {
      name: 'stored per response and hash',
      value: bytes / responses,
      unit: 'octets',
      ...(algorithm.includes('RSA') ? {} : { limit: atMost(130) }),
      detail: `${(bytes / MEGABYTE).toFixed(1)} MB in ${bundles} bundles`,
    },
    {
      name: 'growth: bundles of earlier eras',
      value: grown,
      unit: 'writes',
      detail: `and ${signReading.signatures - responses} signatures`,
    },
    {
      name: 'D1 rows read and written, import',
      value: (importReading.rowsRead + importReading.rowsWritten) / cycle.certificates,
      unit: 'a row',
      detail: `${importReading.rowsRead} and ${importReading.rowsWritten}, ${importReading.queries} exchanges`,
    },
    {
      name: 'D1 rows read and written, plan, sign and write',
      value: (signReading.rowsRead + signReading.rowsWritten) / cycle.certificates,
      unit: 'a certificate',
      detail: `${signReading.rowsRead} and ${signReading.rowsWritten}, ${signReading.queries} exchanges`,
    },
  ]
}

function soundRows({ verified, unsettled, signedLive }: Cycle, verify: number): Measurement[] {
  return [
    {
      name: 'random answers verified by openssl',
      value: verified.answers,
      unit: '',
      limit: atLeast(verify),
      detail: 'signature, chain, status as recorded; half of them about each hash',
    },
    { name: 'of them signed live', value: signedLive, unit: '', limit: atMost(0) },
    { name: 'signed by one more run of the cron job', value: unsettled, unit: '', limit: atMost(0) },
  ]
}

const STAGES: readonly { readonly name: string; readonly cost: (cycle: Cycle) => number }[] = [
  { name: 'time of the whole, without verification', cost: ({ importMs, signMs }) => importMs + signMs },
  { name: 'time of the import', cost: ({ importMs }) => importMs },
  { name: 'time of plan, sign and write', cost: ({ signMs }) => signMs },
  { name: 'time of the plan', cost: ({ signReading }) => sumOf(signReading, 'leases', 'rest') },
  { name: 'KV writes', cost: ({ signReading }) => signReading.writes },
  { name: 'D1 exchanges', cost: (cycle) => cycle.importReading.queries + cycle.signReading.queries },
  {
    name: 'D1 rows read',
    cost: (cycle) => cycle.importReading.rowsRead + cycle.signReading.rowsRead,
  },
  {
    name: 'D1 rows written',
    cost: (cycle) => cycle.importReading.rowsWritten + cycle.signReading.rowsWritten,
  },
]

/** Exponents of cost over size; 1 is linear. */
export function curveRows(cycles: readonly Cycle[]): Row[] {
  return STAGES.map(({ name, cost }) =>
    judge({
      name: `grows: ${name}`,
      value: exponentOf(cycles.map((cycle) => ({ size: cycle.certificates, cost: cost(cycle) }))),
      unit: 'exponent',
      limit: atMost(1.1),
      detail: cycles.map((cycle) => `${cycle.certificates}: ${Math.round(cost(cycle))}`).join(', '),
    }),
  )
}
