import { describe, expect, test } from 'vitest'
import { NO_END } from '../../src/asn1/generalized-time.ts'
import { type HealthDeps, healthApp } from '../../src/http/health.ts'
import type { Globals, IssuerState } from '../../src/ports/admin-store.ts'
import type { Canary } from '../../src/ports/canary-store.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { IssuerRecord, ResponderRecord } from '../../src/ports/records.ts'
import { at, EMPTY_GLOBALS, NOW } from './admin-world.ts'

const DAY = 86_400
const none = new Uint8Array()
const hashes = { issuerNameHash: none, issuerKeyHash: none }

const RESPONDER: ResponderRecord = {
  id: 1,
  name: 'r',
  certificate: none,
  keyHash: none,
  algorithm: 'ecdsa-with-SHA256',
  custody: 'wrapped',
  secretName: undefined,
  spki: none,
  notBefore: NOW - DAY,
  notAfter: NOW + 30 * DAY,
  retired: false,
}
const ISSUER: IssuerRecord = {
  id: 1,
  name: 'demo',
  ski: 'aa',
  certificate: none,
  hashes: { 'SHA-1': hashes, 'SHA-256': hashes, 'SHA-384': hashes, 'SHA-512': hashes },
  notBefore: NOW - DAY,
  notAfter: NOW + 3650 * DAY,
  policy: {
    unknown: 'unauthorized',
    nonce: 'echo',
    profile: 'private',
    validitySeconds: 7 * DAY,
    maxAge: 'next-update',
    hashes: ['SHA-1'],
    retainSeconds: DAY,
    signedRequests: 'ignore',
    requestors: [],
    archiveCutoff: 'none',
    algorithm: undefined,
  },
  enabled: true,
  configRev: 1,
  responders: [RESPONDER],
}
const STATE: IssuerState = {
  id: 1,
  name: 'demo',
  enabled: true,
  frozen: false,
  head: NOW * 1e6,
  published: NOW * 1e6,
  floor: 0,
  k: 2,
  kNext: undefined,
  activeResponders: 1,
  responderNotAfter: NOW + 30 * DAY,
  slots: 4,
  slotsDue: 0,
  slotsFailing: 0,
  entries: 2000,
  added: 3,
  oldestThisUpdate: NOW - DAY,
  nearestNextUpdate: NOW + 6 * DAY,
}
const READY: Globals = {
  ...EMPTY_GLOBALS,
  issuers: [STATE],
  oldestThisUpdate: STATE.oldestThisUpdate,
  nearestNextUpdate: STATE.nearestNextUpdate,
  overlayItems: 5,
  overlaySegments: 3,
  overlaySegmentItems: 4_000,
  publisher: { version: 9, publishedAtMs: NOW * 1000 - 20_000 },
  lastRuns: [
    {
      job: 'cron',
      startedMs: NOW * 1000 - 31_000,
      finishedMs: NOW * 1000 - 30_000,
      ok: true,
      built: 1,
      signatures: 2,
      failed: 0,
      remaining: 0,
    },
  ],
  counters: { bundles_built: 12, signatures_made: 3400, builds_failed: 0 },
}

/** Its last responses are signed; everything that signed them is gone. */
const ENDED: Setup = {
  issuer: { finalAt: NOW - 900 * DAY },
  responder: { notAfter: NOW - 800 * DAY, custody: 'secret', secretName: 'GONE' },
  state: { oldestThisUpdate: NOW - 900 * DAY, nearestNextUpdate: NO_END },
  config: { kek: undefined },
}

interface Setup {
  globals?: Partial<Globals>
  state?: Partial<IssuerState>
  issuer?: Partial<IssuerRecord>
  responder?: Partial<ResponderRecord>
  config?: Partial<HealthDeps>
  canaries?: readonly Canary[]
}

function health({ globals = {}, state, issuer, responder, config = {}, canaries = [] }: Setup = {}) {
  const world = { nowMs: NOW * 1000, reads: 0, fault: undefined as Error | undefined }
  const record = { ...ISSUER, ...issuer, responders: issuer?.responders ?? [{ ...RESPONDER, ...responder }] }
  const app = healthApp({
    store: {
      async globals() {
        world.reads += 1
        if (world.fault !== undefined) throw world.fault
        return { ...READY, issuers: [{ ...STATE, ...state }], ...globals }
      },
      issuerOutlines: async () => (globals.issuers?.length === 0 ? [] : [record]),
    },
    canaries: { listCanaries: async () => canaries },
    clock: { nowMs: () => world.nowMs },
    adminToken: 'token',
    kek: new Uint8Array(32),
    secret: () => undefined,
    boundSeconds: 300,
    ...config,
  })
  return {
    world,
    async ready() {
      const response = await app.request('/readyz')
      const json: unknown = await response.json()
      const problems = at(json, 'problems')
      const list: unknown[] = Array.isArray(problems) ? problems : []
      for (const problem of list) expect(at(problem, 'step'), 'each problem names its step').toBeTruthy()
      return { status: response.status, codes: list.map((one) => at(one, 'code')), headers: response.headers }
    },
    get: (path: string) => app.request(path),
  }
}

describe('/readyz', () => {
  test('is 200 when nothing is wrong, and never cacheable', async () => {
    const { status, codes, headers } = await health().ready()
    expect([status, codes, headers.get('Cache-Control')]).toEqual([200, [], 'no-store'])
  })

  const cases: [string, Setup, string][] = [
    ['no schema', { globals: { schema: false, issuers: [] } }, 'migrationsMissing'],
    ['no ADMIN_TOKEN', { config: { adminToken: ' ' } }, 'adminTokenMissing'],
    ['no KEY_ENCRYPTION_KEY', { config: { kek: undefined } }, 'keyEncryptionKeyMissing'],
    [
      'a responder secret that is not set',
      { responder: { custody: 'secret', secretName: 'OCSP_KEY' } },
      'responderSecretMissing',
    ],
    ['no issuer', { globals: { issuers: [] } }, 'noIssuer'],
    ['no responder', { issuer: { responders: [] } }, 'noUsableResponder'],
    ['an expired responder', { responder: { notAfter: NOW } }, 'noUsableResponder'],
    ['a responder that is not valid yet', { responder: { notBefore: NOW + 1 } }, 'noUsableResponder'],
    ['a retired responder', { responder: { retired: true } }, 'noUsableResponder'],
    [
      'less than 8 h left under public-trust (R4.32)',
      {
        issuer: { policy: { ...ISSUER.policy, profile: 'public-trust' } },
        responder: { notAfter: NOW + 8 * 3600 - 1 },
      },
      'responderEndsSoon',
    ],
    ['a cron that never ran', { globals: { lastRuns: [] } }, 'cronNeverRan'],
    [
      'a root that was never published',
      { globals: { publisher: { version: 0, publishedAtMs: 0 } } },
      'rootNeverPublished',
    ],
    [
      'a publisher past the bound',
      { globals: { publisher: { version: 9, publishedAtMs: (NOW - 301) * 1000 } } },
      'publisherLate',
    ],
    ['a frozen issuer', { state: { frozen: true } }, 'issuerFrozen'],
    [
      'half of the validity gone (R4.2, R4.32)',
      { state: { oldestThisUpdate: NOW - 3.5 * DAY - 181 }, issuer: {} },
      'responseOverdue',
    ],
    [
      'four days gone of a longer validity (R4.3, R4.30)',
      {
        state: { oldestThisUpdate: NOW - 4 * DAY - 181 },
        issuer: { policy: { ...ISSUER.policy, validitySeconds: 10 * DAY } },
      },
      'responseOverdue',
    ],
    ['a response past its nextUpdate', { state: { nearestNextUpdate: NOW - 1 } }, 'responseExpired'],
    [
      'last responses still to be signed, and nobody to do it (R4.52)',
      { ...ENDED, state: { ...ENDED.state, slotsDue: 1 } },
      'noUsableResponder',
    ],
    [
      'a final issuer that answers from responses with an end (R4.52)',
      { ...ENDED, state: { ...ENDED.state, nearestNextUpdate: NOW - 1 } },
      'responseExpired',
    ],
  ]
  test.each(cases)('is 503 with %s', async (_what, setup, code) => {
    const { status, codes } = await health(setup).ready()
    expect(status).toBe(503)
    expect(codes).toContain(code)
  })

  test.each([
    [180, 200],
    [181, 503],
  ])('a cron that ran %i s ago answers %i', async (age, status) => {
    const [run] = READY.lastRuns
    const lastRuns = run === undefined ? [] : [{ ...run, finishedMs: (NOW - age) * 1000 }]
    expect((await health({ globals: { lastRuns } }).ready()).status).toBe(status)
  })

  test.each<[string, Setup]>([
    ['of a disabled issuer', { state: { enabled: false }, issuer: { responders: [] } }],
    [
      'of a KEY_ENCRYPTION_KEY that nothing needs',
      { config: { kek: undefined, secret: () => 'pem' }, responder: { custody: 'secret', secretName: 'K' } },
    ],
    [
      'of an issuer that has no bundle yet',
      { state: { oldestThisUpdate: undefined, nearestNextUpdate: undefined } },
    ],
    ['of a final issuer whose key, secret and responder are gone (R4.52)', ENDED],
  ])('does not mind the state %s', async (_what, setup) => {
    expect(await health(setup).ready()).toMatchObject({ status: 200, codes: [] })
  })

  test('a record that cannot be read is a problem of its own, and is read again a second later', async () => {
    const { world, ready } = health()
    world.fault = new StorageError('unavailable', 'down')
    expect(await ready()).toMatchObject({ status: 503, codes: ['storageUnavailable'] })
    world.fault = undefined
    world.nowMs += 1000
    expect((await ready()).status).toBe(200)
  })

  test('a store that says notSetUp names the migrations', async () => {
    const { world, ready } = health()
    world.fault = new StorageError('notSetUp', 'no such table')
    expect((await ready()).codes).toEqual(['migrationsMissing'])
  })
})

describe('/healthz', () => {
  test('tells that the isolate lives and how often X.509 was evaluated, without any I/O', async () => {
    const { world, get } = health()
    const response = await get('/healthz')
    expect([response.status, response.headers.get('Cache-Control'), world.reads]).toEqual([
      200,
      'no-store',
      0,
    ])
    expect(await response.json()).toEqual({ status: 'ok', x509Evaluations: 0 })
  })
})

describe('/metrics (R8.4)', () => {
  test('is Prometheus text 0.0.4 of what D1 knows', async () => {
    const response = await health({ state: { head: (NOW - 7) * 1e6 + 1, published: 0 } }).get('/metrics')
    expect(response.headers.get('Content-Type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const text = await response.text()
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        'edge_ocsp_ready 1',
        'edge_ocsp_issuers 1',
        'edge_ocsp_certificates_built{issuer="demo"} 2000',
        'edge_ocsp_slots_due{issuer="demo"} 0',
        `edge_ocsp_oldest_response_age_seconds{issuer="demo"} ${DAY}`,
        `edge_ocsp_nearest_next_update_seconds{issuer="demo"} ${NOW + 6 * DAY}`,
        'edge_ocsp_publisher_lag_seconds{issuer="demo"} 7',
        'edge_ocsp_root_version 9',
        'edge_ocsp_root_age_seconds 20',
        'edge_ocsp_job_last_run_age_seconds{job="cron"} 30',
        '# TYPE edge_ocsp_signatures_made_total counter',
        'edge_ocsp_signatures_made_total 3400',
        'edge_ocsp_propagation_bound_seconds 300',
      ]),
    )
  })

  test('every line is a comment or a sample, and every sample has HELP and TYPE before it', async () => {
    const text = await (await health().get('/metrics')).text()
    expect(text.endsWith('\n')).toBe(true)
    let current = ''
    for (const line of text.trimEnd().split('\n')) {
      const help = /^# HELP (\S+) \S/.exec(line)?.[1]
      if (help !== undefined) current = help
      else if (line.startsWith('# TYPE '))
        expect(line).toMatch(new RegExp(`^# TYPE ${current} (gauge|counter)$`))
      else expect(line).toMatch(new RegExp(`^${current}(\\{[a-z]+="[^"]*"\\})? -?[0-9.e+]+$`))
    }
  })

  test('a flood of scrapes reads D1 once in ten seconds, failures included', async () => {
    const { world, get } = health()
    for (let i = 0; i < 50; i += 1) await get('/metrics')
    expect(world.reads).toBe(1)
    world.nowMs += 10_000
    world.fault = new StorageError('unavailable', 'down')
    for (let i = 0; i < 50; i += 1) expect((await get('/metrics')).status).toBe(503)
    expect(world.reads).toBe(2)
  })
})

test('metrics of 10,000 issuers show the worst of them, and sums of all (R8.4)', async () => {
  const issuers = Array.from({ length: 10_000 }, (_, i) => ({
    ...STATE,
    id: i + 1,
    name: `ca-${i + 1}`,
    frozen: i === 7_000,
    slotsFailing: i === 8_000 ? 2 : 0,
    nearestNextUpdate: NOW + (i === 9_000 ? 1 : 6) * DAY,
  }))
  const { get } = health({ globals: { issuers, slotsDue: 11, slotsFailing: 2 } })
  const text = await (await get('/metrics')).text()
  expect(text.match(/^edge_ocsp_slots\{/gm)).toHaveLength(500)
  for (const name of ['ca-7001', 'ca-8001', 'ca-9001']) expect(text).toContain(`issuer="${name}"`)
  for (const sum of [
    'issuers 10000',
    'issuers_shown 500',
    'issuers_frozen 1',
    'all_slots_due 11',
    'all_slots_failing 2',
  ])
    expect(text).toContain(`\nedge_ocsp_${sum}\n`)
  expect(text.length).toBeLessThan(500_000)
})

test('metrics tell what the canaries have measured, and nothing of those that are off (R8.4)', async () => {
  const canary = (over: Partial<Canary>): Canary => ({
    issuer: STATE.id,
    serial: Uint8Array.of(0x4f, 1),
    enabled: true,
    changedMs: NOW * 1000 - 60_000,
    seq: 7,
    seenMs: NOW * 1000 - 48_000,
    rounds: 12,
    late: 1,
    lastLagMs: 12_500,
    worstLagMs: 340_000,
    ...over,
  })
  const metrics = async (canaries: readonly Canary[]) =>
    (await (await health({ canaries }).get('/metrics')).text())
      .split('\n')
      .filter((line) => line.includes('canary'))
  expect(await metrics([])).toEqual([])
  expect((await metrics([canary({})])).filter((line) => !line.startsWith('#'))).toEqual([
    `edge_ocsp_canary_seconds{issuer="${STATE.name}"} 12.5`,
    `edge_ocsp_canary_worst_seconds{issuer="${STATE.name}"} 340`,
    `edge_ocsp_canary_rounds_total{issuer="${STATE.name}"} 12`,
    `edge_ocsp_canary_late_total{issuer="${STATE.name}"} 1`,
  ])
  expect(await metrics([canary({ enabled: false })])).toEqual([])
  const text = (await metrics([canary({ rounds: 0 })])).join()
  expect(text).not.toContain('canary_seconds')
  expect(text).not.toContain('4f01')
})
