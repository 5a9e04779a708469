import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { buildWorker } from '../../src/cli/dev/worker-bundle.ts'

const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-lazy-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** pkijs, as soon as it is evaluated in Node, leaves its engine in the global object below the process id. */
const PROGRAM = `
import worker from './worker.mjs'
const ask = (path, init) => worker.fetch(new Request('https://ocsp.example' + path, init))
const seen = async (what) => ({
  what,
  engine: globalThis[process.pid]?.pkijs !== undefined,
  evaluations: (await (await ask('/healthz')).json()).x509Evaluations,
})
const states = [await seen('evaluated')]
await ask('/', { method: 'POST', body: new Uint8Array([0x30, 0x00]), headers: { 'Content-Type': 'application/ocsp-request' } })
await ask('/' + process.argv[2])
states.push(await seen('asked'))
const answer = await ask('/admin/v1/issuers', {
  method: 'POST',
  headers: { Authorization: 'Bearer a-token-of-more-than-thirty-two-characters', 'Content-Type': 'application/json' },
  body: JSON.stringify({ certificate: 'none' }),
})
states.push({ ...(await seen('administered')), code: (await answer.json()).error.code })
console.log('STATES' + JSON.stringify(states))
`

/** What Cloudflare gives. A database that fails is enough: no request here has to succeed. */
const PLATFORM = `
const fails = () => { throw new Error('not here') }
globalThis.caches = { default: { match: fails, put: fails }, open: fails }
export const env = {
  DB: { prepare: fails, batch: fails, withSession: fails },
  RESPONSES: { get: fails, put: fails },
  ADMIN_TOKEN: 'a-token-of-more-than-thirty-two-characters',
  LOG_SAMPLE_RATE: '0',
}
export const waitUntil = () => {}
`
/** Example of an OCSP GET: SHA-1 CertID, base64. */
const GET =
  'MFQwUjBQME4wTDAJBgUrDgMCGgUABBQAAAAAAAAAAAAAAAAAAAAAAAAAAAQUAAAAAAAAAAAAAAAAAAAAAAAAAAACAwECAw%3D%3D'

/** `engine`: the CryptoEngine that pkijs makes as it is loaded. It is not in the upload at all (ADR 0009). */
test('in the one file that is uploaded, pkijs is evaluated by administration and by no OCSP request', async () => {
  const { code } = await buildWorker()
  writeFileSync(join(folder, 'worker.mjs'), code.replace('"cloudflare:workers"', '"./platform.mjs"'))
  writeFileSync(join(folder, 'platform.mjs'), PLATFORM)
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
  const printed = execFileSync(process.execPath, [join(folder, 'program.mjs'), GET], { encoding: 'utf8' })
  expect(JSON.parse(/STATES(.*)/.exec(printed)?.[1] ?? 'null')).toEqual([
    { what: 'evaluated', engine: false, evaluations: 0 },
    { what: 'asked', engine: false, evaluations: 0 },
    { what: 'administered', engine: false, evaluations: 1, code: 'certificateUnreadable' },
  ])
})
