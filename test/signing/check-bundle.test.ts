/** Law 5: what is wrong with a bundle keeps it from being put. */
import { describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import type { BundleContent } from '../../src/bundle/bundle-writer.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { SigningError } from '../../src/ports/errors.ts'
import type { CertificateRow, IssuerRecord } from '../../src/ports/records.ts'
import { type BuiltSlot, buildSlot } from '../../src/signing/build-slot.ts'
import { checkBundle } from '../../src/signing/check-bundle.ts'
import { EPOCH } from '../support/clock.ts'
import { makeTestPKI } from '../support/pki.ts'

const pki = await makeTestPKI({ now: EPOCH })
const stranger = await makeTestPKI({ now: EPOCH, caName: 'Another CA', freshKeys: true })
const issuer = pki.issuerRecord()
const ready = {
  responder: pki.responderRecord(),
  signer: pki.responder.signer,
  notAfter: Math.min(pki.responder.notAfter, pki.issuer.notAfter),
}

function row(n: number, over: Partial<CertificateRow> = {}): CertificateRow {
  return {
    serial: Uint8Array.of(0x15, n),
    status: 'good',
    revocationTime: 0,
    reason: undefined,
    notBefore: EPOCH - 86_400,
    notAfter: EPOCH + 86_400,
    changedAt: 0,
    rev: 10 + n,
    ...over,
  }
}

const ROWS = [
  row(1),
  row(2, { status: 'revoked', revocationTime: EPOCH - 5_000, reason: 1, changedAt: EPOCH - 5_000 }),
  row(3, { status: 'hold', revocationTime: EPOCH - 100, reason: 6, changedAt: EPOCH - 100 }),
]

const build = (over: Partial<Parameters<typeof buildSlot>[0]> = {}): Promise<BuiltSlot> =>
  buildSlot({
    issuer,
    lease: { k: 0, slot: 0 },
    rows: ROWS,
    asOf: 100,
    t0: EPOCH,
    ready,
    previous: undefined,
    floor: 0,
    ...over,
  })

const check = async (meant: BundleContent, made: BundleContent = meant, of: IssuerRecord = issuer) =>
  checkBundle(await encodeBundle(made), meant, of)

test('a bundle as built passes', async () => {
  const { content, signatures } = await build()
  expect(signatures).toBe(6)
  await check(content)
})

const changes: [string, (content: BundleContent) => BundleContent][] = [
  ['an entry is lost', (c) => ({ ...c, entries: c.entries.slice(1) })],
  [
    'a revoked one is good',
    (c) => ({ ...c, entries: c.entries.map((e) => ({ ...e, certStatus: { type: 'good' } })) }),
  ],
  [
    'a revocation time is another',
    (c) => ({
      ...c,
      entries: c.entries.map((e) =>
        e.certStatus.type === 'revoked'
          ? { ...e, certStatus: { ...e.certStatus, revocationTime: EPOCH - 9_000 } }
          : e,
      ),
    }),
  ],
  ['an entry names another window', (c) => ({ ...c, entries: c.entries.map((e) => ({ ...e, window: 1 })) })],
  [
    'a window is longer',
    (c) => ({ ...c, windows: c.windows.map((w) => ({ ...w, nextUpdate: w.nextUpdate + 60 })) }),
  ],
  [
    'producedAt is another',
    (c) => ({ ...c, windows: c.windows.map((w) => ({ ...w, producedAt: w.producedAt + 1 })) }),
  ],
  [
    'hashes of another issuer',
    (c) => ({
      ...c,
      variants: c.variants.map((v) => ({ ...v, ...stranger.issuer.hashes[v.hashAlgorithm] })),
    }),
  ],
  [
    'a signature is another',
    (c) => ({
      ...c,
      entries: c.entries.map((e) => ({
        ...e,
        signatures: e.signatures.map((s) => s?.map((o, i) => (i === 12 ? o ^ 4 : o))),
      })),
    }),
  ],
  ['signatures of two entries are swapped', (c) => swapped(c)],
]

function swapped(content: BundleContent): BundleContent {
  const [first, second, ...rest] = content.entries
  if (first === undefined || second === undefined) throw new Error('two entries')
  const entries = [
    { ...first, signatures: second.signatures },
    { ...second, signatures: first.signatures },
    ...rest,
  ]
  return { ...content, entries }
}

test.each(changes)('%s: refused (law 5, R8.1)', async (_, change) => {
  const { content } = await build()
  await expect(check(content, change(content))).rejects.toThrow(SigningError)
})

test('times that the standards forbid are refused even when they are meant', async () => {
  const { content } = await build({ rows: ROWS.slice(1, 2) })
  const early = { ...content, windows: content.windows.map((w) => ({ ...w, thisUpdate: EPOCH - 20_000 })) }
  await expect(check(early)).rejects.toThrow(/R1.31/)
  const long = { ...content, windows: content.windows.map((w) => ({ ...w, nextUpdate: ready.notAfter + 1 })) }
  await expect(check(long)).rejects.toThrow(/R1.66/)
  const inverted = {
    ...content,
    windows: content.windows.map((w) => ({ ...w, producedAt: w.thisUpdate - 1 })),
  }
  await expect(check(inverted)).rejects.toThrow(/R1.62/)
})

test("signed by a key that is not the responder's: refused", async () => {
  const { content } = await build({ ready: { ...ready, signer: stranger.responder.signer } })
  await expect(check(content)).rejects.toThrow(/does not verify/)
  await expect(check(content, content, { ...issuer, responders: [] })).rejects.toThrow(SigningError)
})

describe('under public-trust', () => {
  const open = { ...issuer, policy: { ...issuer.policy, profile: 'public-trust' as const } }

  test('a window of less than eight hours is refused (R4.1)', async () => {
    const { content } = await build()
    const short = (w: BundleContent['windows'][number]) => ({ ...w, nextUpdate: w.thisUpdate + 28_798 })
    const made = await build({
      issuer: { ...open, policy: { ...open.policy, validitySeconds: 28_799 } },
    }).catch((error: unknown) => error)
    expect(made).toBeInstanceOf(SigningError)
    await expect(check({ ...content, windows: content.windows.map(short) }, undefined, open)).rejects.toThrow(
      /R4\.1 /,
    )
  })

  test('holds and reasons from before are still told: silence would take a revocation away (R4.13, R4.22)', async () => {
    const rows = [
      ...ROWS,
      row(4, { status: 'revoked', revocationTime: EPOCH - 5_000, reason: 2, changedAt: EPOCH - 5_000 }),
    ]
    const { content } = await build({ issuer: open, rows })
    await check(content, content, open)
  })

  test('what was signed under the profile private and is too short is not kept (R4.1)', async () => {
    const policy = { ...issuer.policy, validitySeconds: 3_600 }
    const before = await build({ issuer: { ...issuer, policy } })
    const previous = Bundle.open(await encodeBundle(before.content))
    const after = await build({ issuer: open, previous, asOf: 200, t0: EPOCH + 60 })
    expect(after.signatures).toBe(6)
    await check(after.content, after.content, open)
  })
})

test('what is over, or comes from the future, is not published; a clock may be a little ahead (R1.62, R1.67, law 1)', async () => {
  const { content } = await build()
  const bytes = await encodeBundle(content)
  await checkBundle(bytes, content, issuer, EPOCH)
  await checkBundle(bytes, content, issuer, EPOCH - 200)
  await expect(checkBundle(bytes, content, issuer, EPOCH - 301)).rejects.toThrow(/R1\.62 .*producedAt/)
  await expect(checkBundle(bytes, content, issuer, EPOCH + 8 * 86_400)).rejects.toThrow(/R1\.67 /)
})

test('what may be kept is kept, and only that', async () => {
  const { content } = await build()
  const previous = Bundle.open(await encodeBundle(content))
  const again = async (over: Parameters<typeof build>[0]) =>
    (await build({ previous, asOf: 200, t0: EPOCH + 60, ...over })).signatures
  expect(await again({})).toBe(0)
  expect(await again({ rows: [...ROWS.slice(0, 2), row(4)] })).toBe(2)
  expect(await again({ rows: [row(1, { rev: 150 }), ...ROWS.slice(1)] })).toBe(2) // changed since
  expect(
    await again({ rows: [row(1, { status: 'released', changedAt: EPOCH - 50 }), ...ROWS.slice(1)] }),
  ).toBe(2)
  expect(await again({ floor: 101 })).toBe(6)
  expect(await again({ t0: EPOCH + 4 * 86_400 })).toBe(6)
  expect(await again({ issuer: { ...issuer, responders: [pki.responderRecord({ retired: true })] } })).toBe(6)
  expect(await again({ rows: [row(1, { notBefore: EPOCH + 3_600 }), ...ROWS.slice(1)] })).toBe(0) // not yet valid: left out
})
