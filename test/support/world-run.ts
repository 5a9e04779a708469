/**
 * One random interleaving: a short plan of steps, made of its seed, carried out in a prepared world, and judged after each
 * step. A plan can also be given, so that what failed can be shortened and kept.
 */
import type { StatusChange } from '../../src/ports/admin-store.ts'
import type { UnknownPolicy } from '../../src/ports/records.ts'
import { EPOCH, Random } from './clock.ts'
import { World } from './world.ts'
import { Client, type Tally } from './world-client.ts'
import { cryptoWithoutThreads } from './world-crypto.ts'
import type { Variant } from './world-isolate.ts'
import { Interleaving, OPERATIONS, type OperationName } from './world-operations.ts'
import { loseEverythingDerived, PublishedValues } from './world-published.ts'

export interface PlannedStep {
  readonly operation: OperationName
  /** Seed of every choice of this step, and of the questions after it. */
  readonly dice: number
}

export interface Plan {
  readonly seed: number
  readonly steps: readonly PlannedStep[]
}

export interface RunResult {
  /** undefined: no law was broken. */
  readonly failure: { readonly problem: string; readonly step: number } | undefined
  /** Outcomes of each operation. */
  readonly outcomes: Record<string, number>
  readonly tally: Tally
  /** What happened, a line each; the same for the same plan. */
  readonly history: readonly string[]
}

cryptoWithoutThreads()

const MIN_STEPS = 10
const MAX_STEPS = 20
const QUESTIONS = 3
/** Runs at whose end all that is derived is lost. */
const LOSING_SHARE = 0.1
const CERTIFICATES = 5
const NEVER_ISSUED = 2

const NAMES = Object.keys(OPERATIONS).filter((name): name is OperationName => name in OPERATIONS)
const TOTAL = NAMES.reduce((sum, name) => sum + OPERATIONS[name].weight, 0)

export function planOf(seed: number): Plan {
  const random = new Random(seed)
  random.uint32()
  const count = random.between(MIN_STEPS, MAX_STEPS)
  return {
    seed,
    steps: Array.from({ length: count }, () => ({ operation: anyOperation(random), dice: random.uint32() })),
  }
}

function anyOperation(random: Random): OperationName {
  let left = random.between(1, TOTAL)
  for (const name of NAMES) {
    left -= OPERATIONS[name].weight
    if (left <= 0) return name
  }
  throw new RangeError('weights that do not add up')
}

/** What the worlds are prepared with: each seed takes one of them. */
const POLICIES: readonly (readonly UnknownPolicy[])[] = [
  ['unauthorized', 'unknown'],
  ['unauthorized', 'good'],
  ['unauthorized', 'revoked-extended'],
  ['unauthorized'],
]

const FIRST_CHANGES: readonly StatusChange[] = [{ to: 'hold' }, { to: 'revoked', reason: 1 }]

const prepared = new Map<number, Promise<World>>()

/** Made once a thread: issuers, published and pre-signed. */
function preparedWorld(index: number): Promise<World> {
  const known = prepared.get(index)
  if (known !== undefined) return known
  const made = prepare(index)
  prepared.set(index, made)
  return made
}

async function prepare(index: number): Promise<World> {
  const random = new Random(index + 1)
  const world = await World.create({ seed: index + 1, colos: 2, maxLagSeconds: 0 }, POLICIES[index] ?? [])
  const place = world.makePlace(0)
  for (const issuer of world.issuers) {
    const rows = Array.from({ length: CERTIFICATES }, (_, n) => ({
      serial: Uint8Array.of(0x11, ...random.octets(6), n),
      status: 'good' as const,
      notBefore: EPOCH - 86_400,
      notAfter: EPOCH + (n === 0 ? random.between(1_200, 9_000) : 90 * 86_400),
    }))
    // An issuer known by its CRL alone has what is revoked on record, and nothing else.
    const recorded = issuer.unknown === 'good' ? rows.slice(0, 2) : rows
    for (const { serial } of rows) world.history(issuer, serial)
    await world.add(
      place,
      issuer,
      recorded.map((row) => (issuer.unknown === 'good' ? { ...row, status: 'revoked', reason: 1 } : row)),
    )
    for (let n = 0; n < NEVER_ISSUED; n += 1)
      world.history(issuer, Uint8Array.of(0x13, ...random.octets(6), n))
    world.clock.advance(2_000)
  }
  // Of each other issuer one is on hold and one revoked from the beginning.
  for (const issuer of world.issuers) {
    const own = [...world.histories.values()].filter(
      ({ issuer: id, status }) => id === issuer.record.id && status === 'good',
    )
    for (const [n, change] of FIRST_CHANGES.entries()) {
      const history = own[n + 1]
      if (history !== undefined) await world.change(place, history, change)
      world.clock.advance(2_000)
    }
  }
  await world.presign(place, { all: true })
  await world.publish(place)
  world.kv.settle()
  return world
}

/** Which of the plan's steps are needed: leaves out halves, quarters and single ones as long as the rest fails too. */
export async function shortened(plan: Plan, options: RunOptions = {}): Promise<Plan> {
  const fails = async (steps: readonly PlannedStep[]) =>
    (await run({ ...plan, steps }, options)).failure !== undefined
  let { steps } = plan
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < steps.length; ) {
      const rest = [...steps.slice(0, at), ...steps.slice(at + size)]
      if (await fails(rest)) steps = rest
      else at += size
    }
  return { ...plan, steps }
}

export interface RunOptions {
  readonly variant?: Variant
}

export async function run(plan: Plan, { variant }: RunOptions = {}): Promise<RunResult> {
  const setting = new Random(plan.seed ^ 0x0ddba11)
  setting.uint32()
  const from = await preparedWorld(setting.between(0, POLICIES.length - 1))
  const world = World.fork(from, {
    seed: plan.seed,
    colos: 2,
    maxLagSeconds: setting.pick([0, 60, 600, 2_500]),
    ...(variant === undefined ? {} : { variant }),
  })
  const result: RunResult & { failure: RunResult['failure'] } = {
    failure: undefined,
    outcomes: {},
    tally: { asked: {}, answers: {} },
    history: world.trace,
  }
  try {
    const clients = ['Ann', 'Bob', 'Cy'].map((name) => new Client(world, name, setting, result.tally))
    const calm = setting.chance(0.4)
    const life = new Interleaving(world, clients, calm ? 0 : 0.15)
    world.weather.pauseShare = calm ? 0 : setting.pick([0.01, 0.03])
    world.clock.advance(setting.between(0, 3_600_000))
    const published = new PublishedValues(world)
    const steps = [...plan.steps.keys()]
    for (const index of setting.chance(LOSING_SHARE) ? [...steps, steps.length] : steps) {
      const step = plan.steps[index]
      if (step === undefined) await loseEverythingDerived(world)
      else await carryOut(life, step, result)
      await published.check()
      const [problem] = world.violations
      if (problem === undefined) continue
      result.failure = { problem, step: index }
      break
    }
  } finally {
    await world.end()
  }
  return result
}

async function carryOut(
  life: Interleaving,
  { operation, dice: seed }: PlannedStep,
  { outcomes }: RunResult,
): Promise<void> {
  const { world, clients } = life
  const dice = new Random(seed)
  world.random = new Random(seed ^ 0x7007)
  world.clock.advance(
    dice.chance(0.2) ? 0 : dice.chance(0.8) ? dice.between(1, 60_000) : dice.between(60_000, 400_000),
  )
  world.say(`-- ${operation}`)
  const outcome = await OPERATIONS[operation].run(life, dice)
  world.say(outcome)
  const name = `${operation}: ${outcome}`
  outcomes[name] = (outcomes[name] ?? 0) + 1
  const questions = new Random(seed ^ 0xa5c)
  for (let n = 0; n < QUESTIONS; n += 1)
    await life.ask(questions.pick(clients), questions, n === 0 ? life.lately.at(-1) : undefined)
}
