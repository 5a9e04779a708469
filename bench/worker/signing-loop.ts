/**
 * Runs inside workerd: builds a bundle with the real signing loop, beside as many bare signatures by the same key. Answers
 * with times and with a bundle for the caller to verify. Locally workerd's clock runs on while we compute; at the edge it
 * stands still, and this would measure nothing.
 */
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import { encodeResponseData } from '../../src/ocsp/basic-response.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import type { CertificateRow } from '../../src/ports/records.ts'
import { buildSlot, type SlotToBuild } from '../../src/signing/build-slot.ts'
import { checkBundle } from '../../src/signing/check-bundle.ts'
import { makeTestPKI } from '../../test/support/pki.ts'

const ENTRIES = 512

/** Milliseconds, one number a round; `signatures` in each of them. */
export interface SigningTimes {
  readonly signatures: number
  readonly bare: readonly number[]
  readonly build: readonly number[]
  readonly whole: readonly number[]
  /** The publication gate alone: a finished bundle is read back, each response judged, one signature of each hash verified. */
  readonly gate: readonly number[]
  /** Base64. */
  readonly bundle: string
  readonly spki: string
}

export default {
  async fetch(request: Request): Promise<Response> {
    const rounds = Number(new URL(request.url).searchParams.get('rounds') ?? '5')
    return Response.json(await measure(rounds))
  },
}

async function measure(rounds: number): Promise<SigningTimes> {
  const now = Math.floor(Date.now() / 1000)
  const pki = await makeTestPKI({ now })
  const issuer = pki.issuerRecord()
  const slot: SlotToBuild = {
    issuer,
    lease: { k: 0, slot: 0 },
    rows: makeRows(now),
    asOf: now * 1_000_000,
    floor: 1,
    t0: now,
    ready: {
      responder: pki.responderRecord(),
      signer: pki.responder.signer,
      notAfter: pki.responder.notAfter,
    },
    previous: undefined,
  }
  const signatures = ENTRIES * issuer.policy.hashes.length
  const key = await crypto.subtle.importKey(
    'pkcs8',
    bufferSource(pki.responder.pkcs8),
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  )

  const all = await encodedAll(slot)
  const bare = async () => {
    for (const tbs of all) await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, tbs)
  }
  const build = async () => {
    const built = await buildSlot(slot)
    if (built.signatures !== signatures) throw new Error(`${built.signatures} signatures, not ${signatures}`)
  }
  const whole = async () => {
    const { content } = await buildSlot(slot)
    await checkBundle(await encodeBundle(content), content, issuer)
  }
  const { content } = await buildSlot(slot)
  const bytes = await encodeBundle(content)
  const gate = () => checkBundle(bytes, content, issuer, now)
  const contestants = [bare, build, whole, gate]
  const times = contestants.map((): number[] => [])
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [i, contestant] of contestants.entries()) {
      const start = performance.now()
      await contestant()
      if (round > 0) times[i]?.push(performance.now() - start)
    }
  }
  const [bareTimes = [], buildTimes = [], wholeTimes = [], gateTimes = []] = times
  return {
    signatures,
    bare: bareTimes,
    build: buildTimes,
    whole: wholeTimes,
    gate: gateTimes,
    bundle: base64(bytes),
    spki: base64(pki.responder.spki),
  }
}

/** What the loop will sign, encoded before the clock runs: bare signing is of the very same octets. */
async function encodedAll(slot: SlotToBuild): Promise<Uint8Array<ArrayBuffer>[]> {
  const { content } = await buildSlot(slot)
  const bundle = Bundle.open(await encodeBundle(content))
  const all: Uint8Array<ArrayBuffer>[] = []
  for (const entry of bundle.entries())
    for (const variant of bundle.variants.keys()) {
      const der = bundle.response(entry, variant)
      if (der === undefined) throw new Error('a response is missing')
      all.push(bufferSource(encodeResponseData(decodeSuccessfulResponse(der).tbsResponseData)))
    }
  return all
}

/** Every fiftieth is revoked. */
function makeRows(now: number): CertificateRow[] {
  const rows = Array.from({ length: ENTRIES }, (_, i): CertificateRow => {
    const serial = crypto.getRandomValues(new Uint8Array(18))
    serial[0] = 0x01 | ((serial[0] ?? 0) & 0x7f)
    const revoked = i % 50 === 0
    return {
      serial,
      status: revoked ? 'revoked' : 'good',
      revocationTime: revoked ? now - 7200 : 0,
      reason: revoked ? 1 : undefined,
      notBefore: now - 86_400,
      notAfter: now + 86_400 * 90,
      changedAt: revoked ? now - 7200 : 0,
      rev: now * 1_000_000 - 1,
    }
  })
  return rows.sort((a, b) => serialHash(a.serial) - serialHash(b.serial))
}

function base64(bytes: Uint8Array): string {
  let text = ''
  for (const octet of bytes) text += String.fromCharCode(octet)
  return btoa(text)
}
