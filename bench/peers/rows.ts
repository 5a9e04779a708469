/** Who takes part: the peers that are installed, a bare Worker, and ours in every way that it has to answer. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildWorker, PACKAGE_ROOT, type WorkerBundle } from '../../src/cli/dev/worker-bundle.ts'
import { bareWorker } from '../answers.ts'
import type { Exchange } from '../load.ts'
import { type Server, startServer } from '../servers.ts'
import { getPath, question, type World } from '../world.ts'
import { type Contestant, type Names, nameOf } from './contest.ts'
import type { Target } from './figures.ts'
import { leastSigningWorker, leastWorker, startPlain } from './plain-workerd.ts'
import { PEERS, type Peer, type Program } from './programs.ts'
import { type Asking, checkerOf, exchangeOf, isForAllRouters, Ring, withNonces } from './questions.ts'

/** The Worker with its budgets lifted. */
export const WITHOUT_BUDGET = join(PACKAGE_ROOT, 'test/support/worker-without-budget.ts')

/** Below the publisher's heartbeat: a root older than a minute would be refreshed while somebody waits. */
const HEARTBEAT_MS = 45_000
/** Different questions with a nonce; they repeat, which no responder looks at. */
const NONCES = 2_000
/** Log lines of a row before may still be on their way. */
const LOG_MS = 100
const METHODS = ['GET', 'POST'] as const

/** Everybody who takes part, running. */
export interface Field {
  readonly contestants: readonly Contestant[]
  /** Programs that are here, and what they say of themselves. */
  readonly versions: Readonly<Record<string, string>>
  /** Peers that are not, with the reason. */
  readonly absent: readonly Absent[]
  stop(): Promise<void>
}

export interface Absent {
  /** Who, and which of its rows if not all. */
  readonly peer: string
  readonly reason: string
}

/** @param core of all servers */
export async function enter(
  bundle: WorkerBundle,
  world: World,
  core: number | undefined,
  progress: (text: string) => void,
): Promise<Field> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-peers-'))
  const stops: (() => Promise<void>)[] = []
  const stop = async () => {
    await Promise.all(stops.splice(0).map((each) => each()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    progress('starting the responders')
    const lifted = await buildWorker(PACKAGE_ROOT, WITHOUT_BUDGET)
    const unbudgeted = await world.start({ bundle: lifted, copy: true, core })
    stops.push(() => unbudgeted.stop())
    const ours = await world.start({ core })
    stops.push(() => ours.stop())
    const serials = world.serials.filter((serial) => isForAllRouters(world, serial))
    const [one] = serials
    if (one === undefined) throw new Error('no GET of this CA is without two slashes side by side; run again')
    progress('fetching the answers for the peers')
    const answers = await fetchAnswers(ours, world, serials)
    const bareFolder = join(folder, 'bare')
    mkdirSync(bareFolder)
    const bareCode = await bareWorker(ours, world, one)
    const bare = await startServer({ bundle: { ...bundle, code: bareCode }, folder: bareFolder, core })
    stops.push(() => bare.stop())
    const plain = async (name: string, code: string) => {
      const own = join(folder, name)
      mkdirSync(own)
      const program = await startPlain({ folder: own, core, bundle: { ...bundle, code } })
      stops.push(() => program.stop())
      return program
    }
    const answer = answers[0] ?? new Uint8Array()
    const plainBare = await plain('plain', bareCode)
    const least = await plain('least', leastWorker(answer))
    const leastSigning = await plain('least-signing', leastSigningWorker(answer))

    const programs = new Map<Peer['name'], Program>()
    const absent: Absent[] = []
    for (const [i, peer] of PEERS.entries()) {
      const own = join(folder, `peer-${i}`)
      mkdirSync(own)
      const reason = peer.missing()
      try {
        if (reason !== undefined) throw new Error(reason)
        const program = await peer.start({ folder: own, core, pki: world.pki, serials, answers })
        programs.set(peer.name, program)
        stops.push(() => program.stop())
      } catch (error) {
        absent.push({ peer: peer.name, reason: error instanceof Error ? error.message : String(error) })
      }
    }
    const versions = Object.fromEntries([...programs].map(([name, { version }]) => [name, version]))
    const contestants: Contestant[] = []
    for (const contestant of line(world, serials, {
      ...{ ours, unbudgeted, bare, plainBare, least, leastSigning, programs },
    })) {
      const reason = await whyNot(contestant)
      if (reason === undefined) contestants.push(contestant)
      else absent.push({ peer: nameOf(contestant), reason })
    }
    return { contestants, versions, absent, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** One exchange, alone: a peer that does not answer a method at all is left out with the reason. */
async function whyNot({ port, exchanges, asked, check }: Contestant): Promise<string | undefined> {
  const [exchange] = exchanges()
  if (exchange === undefined) return 'there is nothing to ask'
  asked(1)
  const { path, body } = exchange
  const headers = { 'Content-Type': 'application/ocsp-request' }
  const init = body === undefined ? {} : { method: 'POST', headers, body: Buffer.from(body) }
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
    const der = new Uint8Array(await response.arrayBuffer())
    if (response.status !== 200) return `it answers HTTP ${response.status}`
    check(der)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Answers from bundles, one a serial. */
async function fetchAnswers(
  ours: Server,
  world: World,
  serials: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const answers: Uint8Array[] = []
  for (const serial of serials) {
    const response = await fetch(ours.url + getPath(question(world.pki, [serial])))
    if (response.status !== 200) throw new Error(`our Worker answered HTTP ${response.status}`)
    answers.push(new Uint8Array(await response.arrayBuffer()))
  }
  return answers
}

interface Running {
  readonly ours: Server
  readonly unbudgeted: Server
  readonly bare: Server
  /** In `workerd serve`. */
  readonly plainBare: Program
  readonly least: Program
  readonly leastSigning: Program
  readonly programs: ReadonlyMap<Peer['name'], Program>
}

export const OURS = 'edge-ocsp'
export const BARE = 'bare Worker'
const PLAIN_BARE = 'bare Worker, workerd serve'
const LEAST = 'least Worker, workerd serve'
const FROM = {
  memory: 'one serial, isolate memory',
  bundles: 'all serials, bundles',
  live: 'all serials, record and signature',
  nonce: 'nonces, signature, budget lifted',
  constant: 'one constant',
  bareConstant: 'one constant, no headers',
  signedConstant: 'one constant, signature',
  one: 'one serial, memory',
  all: 'all serials, memory',
  signs: 'one serial, signature',
}

/** All rows, in the order of the table. */
function line(
  world: World,
  serials: readonly Uint8Array[],
  { ours, unbudgeted, bare, plainBare, least, leastSigning, programs }: Running,
): Contestant[] {
  const sha1 = (serial: Uint8Array): Asking => ({ serial, hash: 'SHA-1' })
  const single = serials.slice(0, 1).map(sha1)
  const all = serials.map(sha1)
  // No bundle holds these hashes, so that each question is signed for, once.
  const unsigned = (['SHA-384', 'SHA-512'] as const).flatMap((hash) =>
    serials.map((serial): Asking => ({ serial, hash })),
  )
  const nonces = withNonces(
    Array.from({ length: NONCES }, (_, i) => all[i % all.length] ?? sha1(new Uint8Array())),
  )
  const lists = {
    single: asked(world, single),
    allOfPeers: asked(world, all),
    bundles: asked(world, all),
    unsigned: asked(world, unsigned, true),
    nonces: asked(world, nonces),
  }
  const [cfssl, openssl, nginx] = (['cfssl ocspserve', 'openssl ocsp', 'nginx'] as const).map((name) =>
    programs.get(name),
  )
  const rows: Contestant[] = []
  const add = (
    names: Omit<Names, 'method'>,
    program: Program | Server | undefined,
    list: AskedList,
    more: Partial<Contestant> = {},
    methods: readonly Names['method'][] = METHODS,
  ) => {
    if (program === undefined) return
    const { port } = program
    for (const method of methods)
      rows.push({
        ...names,
        ...more,
        method,
        port,
        processorTime: () => program.processorTime(),
        exchanges: () => list.ring.next().map((pair) => pair[method]),
        asked: (count) => list.ring.asked(count),
        check: list.check,
      })
  }
  const kept = (responder: string, from: string) => ({ responder, from, connections: 'kept' as const })
  const each = (responder: string, from: string) => ({ responder, from, connections: 'one each' as const })
  const [beat, beatUnbudgeted] = [heartbeat(ours), heartbeat(unbudgeted)]
  const from = (server: Server, prepare: () => Promise<void>, ...origins: string[]) => ({
    prepare,
    settle: () => mustComeFrom(server, origins),
  })

  add(kept('nginx', FROM.constant), nginx, lists.single)
  add(kept(BARE, FROM.constant), bare, lists.single)
  add(kept(PLAIN_BARE, FROM.constant), plainBare, lists.single)
  add(kept(LEAST, FROM.bareConstant), least, lists.single, {}, ['POST'])
  add(kept(LEAST, FROM.signedConstant), leastSigning, lists.single, {}, ['POST'])
  add(kept(OURS, FROM.memory), ours, lists.single, from(ours, beat, 'memory'))
  // A bundle that this isolate holds counts as memory, too: that the answer was not there follows from the numbers.
  add(kept(OURS, FROM.bundles), ours, lists.bundles, from(ours, beat, 'memory', 'bundle', 'cache'))
  add(kept(OURS, FROM.live), ours, lists.unsigned, from(ours, beat, 'live'))
  add(kept(OURS, FROM.nonce), unbudgeted, lists.nonces, from(unbudgeted, beatUnbudgeted, 'live'))
  add(kept('cfssl ocspserve', FROM.one), cfssl, lists.single)
  add(kept('cfssl ocspserve', FROM.all), cfssl, lists.allOfPeers)
  add(each('nginx', FROM.constant), nginx, lists.single)
  add(each(BARE, FROM.constant), bare, lists.single)
  add(each(LEAST, FROM.bareConstant), least, lists.single, {}, ['POST'])
  add(each(LEAST, FROM.signedConstant), leastSigning, lists.single, {}, ['POST'])
  add(each(OURS, FROM.memory), ours, lists.single, from(ours, beat, 'memory'))
  add(each(OURS, FROM.nonce), unbudgeted, lists.nonces, from(unbudgeted, beatUnbudgeted, 'live'))
  add(each('cfssl ocspserve', FROM.one), cfssl, lists.single)
  add(each('openssl ocsp', FROM.signs), openssl, lists.single, {
    prepare: async () => openssl?.restart(),
    rest: async () => openssl?.stop(),
  })
  return rows
}

/** What the issue wants of the rows. Like is compared with like: the same method, and connections made in the same way. */
export function targets(): Target[] {
  const row = (responder: string, from: string, connections: Names['connections'] = 'kept') =>
    nameOf({ responder, from, connections, method: 'POST' })
  return [
    {
      what: 'POST from memory, beside cfssl with the same serial',
      ours: row(OURS, FROM.memory),
      theirs: row('cfssl ocspserve', FROM.one),
      least: row(LEAST, FROM.bareConstant),
      wanted: 1.5,
    },
    {
      what: 'POST from bundles, beside cfssl with as many serials',
      ours: row(OURS, FROM.bundles),
      theirs: row('cfssl ocspserve', FROM.all),
      least: row(LEAST, FROM.bareConstant),
      wanted: 1.5,
    },
    {
      what: 'POST from memory, one connection each, beside openssl',
      ours: row(OURS, FROM.memory, 'one each'),
      theirs: row('openssl ocsp', FROM.signs, 'one each'),
      least: row(LEAST, FROM.bareConstant, 'one each'),
      wanted: 1.5,
    },
    {
      what: 'POST with a signature for each (nonces), one connection each, beside openssl',
      ours: row(OURS, FROM.nonce, 'one each'),
      theirs: row('openssl ocsp', FROM.signs, 'one each'),
      least: row(LEAST, FROM.signedConstant, 'one each'),
      wanted: 1.5,
    },
    {
      what: 'POST from memory, beside a bare Worker that reads the body',
      ours: row(OURS, FROM.memory),
      theirs: row(BARE, FROM.constant),
      wanted: 0.8,
    },
  ]
}

interface AskedList {
  readonly ring: Ring<Readonly<Record<Names['method'], Exchange>>>
  readonly check: (der: Uint8Array) => void
}

function asked(world: World, askings: readonly Asking[], once = false): AskedList {
  const pairs = askings.map((asking) => ({
    GET: exchangeOf(world, 'GET', asking),
    POST: exchangeOf(world, 'POST', asking),
  }))
  return { ring: new Ring(pairs, { once }), check: checkerOf(world, askings) }
}

/** @returns what comes before each measurement of this server */
function heartbeat(server: Server): () => Promise<void> {
  let publishedAt = performance.now()
  return async () => {
    if (performance.now() - publishedAt >= HEARTBEAT_MS) {
      await server.cron()
      publishedAt = performance.now()
    }
    await new Promise((resolve) => setTimeout(resolve, LOG_MS))
    await server.origins()
  }
}

/** The log samples one exchange in a hundred: all of them must have come from where the row says. */
async function mustComeFrom(server: Server, wanted: readonly string[]): Promise<void> {
  const { origins, faults } = await server.origins()
  if (faults.length > 0) throw new Error(`our Worker had faults: ${faults[0]}`)
  const others = Object.keys(origins).filter((origin) => !wanted.includes(origin))
  if (others.length > 0)
    throw new Error(
      `of the sampled answers came ${JSON.stringify(origins)}, and not all from ${wanted.join(' or ')}`,
    )
}

/** Whether the row is of the Worker without budgets. */
export function isUnbudgeted({ from }: Names): boolean {
  return from === FROM.nonce
}
