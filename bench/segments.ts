/**
 * A mass revocation in the overlay: what reading, cutting and publishing it costs. `npm run bench:segments -- [changes]`, in SQLite
 * here; D1 adds its round trips, one for each call counted.
 */
import { publish } from '../src/overlay/publisher.ts'
import { OverlayRoot } from '../src/overlay/root.ts'
import { SEGMENT_LIMITS, type SegmentLimits, segmentTail } from '../src/overlay/segmenting.ts'
import { D1AdminStore } from '../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../src/storage/d1-overlay-store.ts'
import { D1SegmentStore } from '../src/storage/d1-segment-store.ts'
import { DAY, NOW, newIssuer } from '../test/storage/fixtures.ts'
import { SqliteD1 } from '../test/support/sqlite-d1.ts'

const COUNT = Number(process.argv[2] ?? 1_000_000)
const NEVER: SegmentLimits = { ...SEGMENT_LIMITS, massTail: 1e9, massLive: 1e9 }

interface Put {
  readonly name: string
  readonly bytes: number
}

async function begin(count: number) {
  let ms = NOW * 1000
  const db = new SqliteD1({ now: () => ms / 1000 })
  const admin = new D1AdminStore(db)
  const { id } = await admin.addIssuer(newIssuer(), ms)
  db.exec(`
    BEGIN; UPDATE issuers SET seq = ${ms * 1000 + count};
    INSERT INTO changes (issuer, hash, serial, seq, keep_until)
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${count})
    SELECT ${id}, (n * 2654435761) & 4294967295, unhex(printf('10%030x', n)), ${ms * 1000} + n / 2000, ${NOW + 8 * DAY} FROM n;
    COMMIT`)
  const puts: Put[] = []
  let root: Uint8Array | null = null
  const writing = { now: 0, most: 0 }
  const derived = {
    readRoot: async () => root,
    readPage: async () => null,
    async writeRoot(bytes: Uint8Array) {
      root = bytes
    },
    async writePage(name: string, bytes: Uint8Array) {
      writing.now += bytes.length
      writing.most = Math.max(writing.most, writing.now)
      puts.push({ name, bytes: bytes.length })
      await new Promise((resolve) => setImmediate(resolve))
      writing.now -= bytes.length
    },
  }
  const clock = {
    nowMs() {
      ms += 1_000
      return ms
    },
  }
  const overlay = new D1OverlayStore(db, { timeoutMs: 600_000 })
  const ports = {
    store: new D1SegmentStore(db, { timeoutMs: 600_000 }),
    derived,
    clock,
    random: () => 0x5eed,
  }
  const publishing = () => publish({ overlay, derived, clock, random: () => 7, sleep: async () => undefined })
  return {
    db,
    overlay,
    ports,
    puts,
    publishing,
    root: () => (root === null ? undefined : OverlayRoot.open(root)),
    size: () => root?.length ?? 0,
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; heap: number }> {
  globalThis.gc?.()
  const from = process.memoryUsage()
  let most = 0
  const watch = setInterval(() => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    most = Math.max(most, heapUsed + arrayBuffers - from.heapUsed - from.arrayBuffers)
  }, 20)
  const begun = performance.now()
  const result = await work()
  const ms = performance.now() - begun
  clearInterval(watch)
  return { result, ms, heap: most }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`
const line = (what: string, ...facts: string[]) => console.log(`${what.padEnd(44)} ${facts.join(', ')}`)

async function run(count: number, limits: SegmentLimits, what: string): Promise<void> {
  console.log(`\n${count} changes, ${what}`)
  const { db, ports, puts, publishing, root, size, overlay } = await begin(count)
  const first = await timed(publishing)
  line(
    'publish, not cut yet',
    `${first.ms.toFixed(0)} ms`,
    `root ${megabytes(size())}`,
    `${root()?.itemCount} items, ${root()?.floors.length} floors`,
  )
  const calls = db.calls
  const cut = await timed(() => segmentTail(ports, limits))
  const bytes = puts.reduce((sum, put) => sum + put.bytes, 0)
  line(
    'cut',
    `${cut.ms.toFixed(0)} ms`,
    `${cut.result} segments`,
    `${db.calls - calls} calls of D1`,
    `${puts.length} values, ${megabytes(bytes)}`,
    `largest ${Math.max(0, ...puts.map((put) => put.bytes))}`,
    `memory up to +${megabytes(cut.heap)}`,
  )
  const second = await timed(publishing)
  line(
    'publish, cut',
    `${second.ms.toFixed(1)} ms`,
    `root ${size()} octets`,
    `${root()?.itemCount} items, ${root()?.segments.length} segments`,
  )
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 20; i += 1) best = Math.min(best, (await timed(() => overlay.readOverlay())).ms)
  line('heartbeat, reading the record', `${best.toFixed(2)} ms`)
  const survey = await timed(() => segmentTail(ports, limits))
  line('nothing to cut', `${survey.ms.toFixed(2)} ms`)
  db.close()
}

await run(COUNT, SEGMENT_LIMITS, 'as a mass event')
await run(100_000, NEVER, 'as items')
await run(1_900, SEGMENT_LIMITS, 'as always')
