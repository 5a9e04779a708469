/** Law 5: many responses that are judged one after the other are judged as each of them alone. */
import { describe, expect, test } from 'vitest'
import { OF_EACH } from '../../src/lint/check.ts'
import { responseChecks, singleChecks } from '../../src/lint/checks.ts'
import type { LintContext, MeantSingle } from '../../src/lint/index.ts'
import { LintSeries, lint, lintSignature } from '../../src/lint/index.ts'
import { Judged, knownOf } from '../../src/lint/judged.ts'
import { applies, appliesToSingle } from '../../src/lint/lint.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { Random } from '../support/clock.ts'
import { single } from './broken.ts'
import { CASES, type Case } from './cases.ts'
import { contextOf, DRAFT, encode, meantBy } from './draft.ts'

const titled = (one: Case) => ({ name: one.check, one })
const ofSeries = ({ question: _, certificates: __, ...context }: LintContext) => context
const contextFor = ({ der, context }: Case) => ofSeries(context?.(contextOf(der)) ?? contextOf(der))

const BASE = encode(DRAFT)
const MEANT = meantOf(BASE)
const { meant: _, ...COMMON } = ofSeries(contextOf(BASE))

function meantOf(der: Uint8Array): MeantSingle {
  const [meant] = meantBy(decodeSuccessfulResponse(der))
  if (meant === undefined) throw new Error('nothing is meant')
  return meant
}

const integer = (...octets: number[]) => tlv(0x02, Uint8Array.from(octets))
const signed = (r: number, s: number) => tlv(0x03, hex('00'), seq(integer(r, 2, 3), integer(s, 5, 6)))
const about = (serial: Uint8Array, signature = signed(1, 4)) => single({ serial }, { signature })
const alone = (der: Uint8Array, meant: MeantSingle) => lint(der, { ...COMMON, meant: [meant] }).findings
const names = (found: readonly { readonly check: string }[]) => found.map(({ check }) => check)

/** Fails a check that looks at these. */
function hidden<T extends object>(value: T, names: readonly string[]): T {
  return new Proxy(value, {
    get(target, name) {
      if (names.includes(String(name))) throw new Error(`a check looks at ${String(name)}`)
      return Reflect.get(target, name)
    },
  })
}

describe('a check that is not judged for each response looks at nothing that differs between them (R8.1)', () => {
  const isCommon = ({ needs }: { readonly needs: number }) => (needs & OF_EACH) === 0
  const readable = CASES.filter(({ der }) => lint(der).basic?.tbsResponseData.responses.length === 1)

  test.each(readable.map(titled))('$name', ({ one: { der, ...rest } }) => {
    const basic = decodeSuccessfulResponse(der)
    const data = basic.tbsResponseData
    const responses = data.responses.map((each) => ({
      ...each,
      certID: hidden(each.certID, ['serialNumber']),
    }))
    const context = contextFor({ der, ...rest })
    const known = knownOf(context, false)
    const judged = new Judged(
      hidden({ ...basic, tbsResponseData: { ...data, responses } }, ['signature']),
      hidden(context, ['meant']),
    )
    let run = 0
    for (const check of responseChecks.filter(isCommon))
      if (applies(check, judged, known)) run += check.isWrong(judged) === false ? 1 : 0
    for (const check of singleChecks.filter(isCommon))
      for (const [i, each] of responses.entries())
        if (appliesToSingle(check, each, known)) run += check.isWrong(each, judged, i) === false ? 1 : 0
    expect(run).toBeGreaterThan(20)
  })
})

describe('behind a response without fault a broken one is found out as it is alone (law 5, R8.1)', () => {
  test.each(CASES.map(titled))('$name', ({ one }) => {
    const { meant = [], ...context } = contextFor(one)
    const [first = MEANT] = meant
    const series = new LintSeries(context)
    series.judge(BASE, MEANT)
    const found = series.judge(one.der, first).findings
    expect(found).toEqual(lint(one.der, { ...context, meant: [first] }).findings)
  })
})

describe('a response that differs from the one before in serial number and signature', () => {
  const series = new LintSeries(COMMON)

  test('is judged by the checks that look at them (R8.2, R1.51)', () => {
    expect(series.judge(BASE, MEANT).findings).toEqual([])
    const serial = integer(1, 2, 4)
    const der = about(serial)
    expect(series.judge(der, meantOf(der)).findings).toEqual([])
    expect(names(series.judge(der, MEANT).findings)).toEqual(['meant-cert-id'])
    const revoked: MeantSingle = { ...meantOf(der), certStatus: { type: 'revoked', revocationTime: 1 } }
    expect(names(series.judge(der, revoked).findings)).toEqual(['meant-status'])
    expect(names(series.judge(der, { ...meantOf(der), issued: false }).findings)).toEqual(['good-not-issued'])
    const formless = about(serial, tlv(0x03, hex('00 3008 0203010203 0203040506'.replace('3008', '3009'))))
    expect(alone(formless, meantOf(der)).map(({ check }) => check)).toEqual(['signature-form'])
    expect(series.judge(formless, meantOf(der)).findings).toEqual(alone(formless, meantOf(der)))
  })

  test('has its own octets in the report, for its signature to be verified (R1.51)', async () => {
    series.judge(BASE, MEANT)
    const der = about(integer(9, 9, 9), signed(7, 8))
    const report = series.judge(der, meantOf(der))
    expect(report.basic).toEqual(decodeSuccessfulResponse(der))
    const seen: Uint8Array[] = []
    const verify = (tbs: Uint8Array, signature: Uint8Array) => {
      seen.push(tbs.slice(), signature.slice())
      return false
    }
    expect(names(await lintSignature(report, verify))).toEqual(['signature-value'])
    await lintSignature(lint(der), verify)
    expect(seen.slice(0, 2)).toEqual(seen.slice(2))
  })

  test('is refused where its serial number is no INTEGER in DER, whatever its first octets (R1.50)', () => {
    for (const first of [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff])
      for (const second of [0x00, 0x7f, 0x80, 0xff]) {
        const der = about(integer(first, second, 7))
        const meant = { ...MEANT, serialNumber: Uint8Array.of(first, second, 7) }
        series.judge(BASE, MEANT)
        expect(series.judge(der, meant).findings).toEqual(alone(der, meant))
      }
  })
})

test('one octet changed anywhere is found as it is alone, whatever was judged before', () => {
  const random = new Random(1)
  const series = new LintSeries(COMMON)
  let faulty = 0
  for (let run = 0; run < 3_000; run += 1) {
    const length = random.between(1, 20)
    const serial = Array.from({ length }, (_, i) =>
      i === 0 ? random.between(1, 127) : random.between(0, 255),
    )
    const der = about(integer(...serial), signed(random.between(1, 127), random.between(1, 127)))
    const meant = meantOf(der)
    expect(series.judge(der, meant).findings).toEqual([])
    const at = random.between(0, der.length - 1)
    const changed = der.map((octet, i) => (i === at ? octet ^ (1 << random.between(0, 7)) : octet))
    const found = series.judge(changed, meant).findings
    faulty += found.length > 0 ? 1 : 0
    expect(found).toEqual(alone(changed, meant))
  }
  expect(faulty).toBeGreaterThan(2_000)
})
