/** Law 5: every check of the publication gate fails for a response that breaks exactly it, and is silent where it cannot judge. */
import { describe, expect, test } from 'vitest'
import type { LintContext, Need } from '../../src/lint/index.ts'
import { checks, lint, lintBasic, needsOf } from '../../src/lint/index.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { CASES, type Case } from './cases.ts'
import { contextOf, DRAFT, encode } from './draft.ts'

const contextFor = ({ der, context }: Case): LintContext => context?.(contextOf(der)) ?? contextOf(der)
const names = (found: readonly { readonly check: string }[]) => found.map(({ check }) => check).sort()
const checkOf = (name: string) => checks.find((check) => check.name === name)
/** For titles: the check and the requirement that it guards. */
const titled = (one: Case) => ({ name: `${one.check} (${checkOf(one.check)?.id})`, one })

/** What is left of a context when only these needs of it are met. */
function only(context: LintContext, needs: readonly Need[]): LintContext {
  const has = (need: Need) => needs.includes(need)
  const { issuer = {}, responder = {} } = context
  return {
    ...(has('publicTrust') && context.profile !== undefined ? { profile: context.profile } : {}),
    ...(has('now') && context.now !== undefined ? { now: context.now } : {}),
    issuer: {
      ...(has('issuer') && issuer.hashes !== undefined ? { hashes: issuer.hashes } : {}),
      ...(has('issuerNotBefore') && issuer.notBefore !== undefined ? { notBefore: issuer.notBefore } : {}),
      ...(has('issuerNotAfter') && issuer.notAfter !== undefined ? { notAfter: issuer.notAfter } : {}),
    },
    responder: {
      ...(has('responderKey') && responder.keyHash !== undefined ? { keyHash: responder.keyHash } : {}),
      ...(has('responderCertificate') && responder.certificate !== undefined
        ? { certificate: responder.certificate }
        : {}),
      ...(has('responderValidity') && responder.notBefore !== undefined
        ? { notBefore: responder.notBefore }
        : {}),
      ...(has('responderNotAfter') && responder.notAfter !== undefined
        ? { notAfter: responder.notAfter }
        : {}),
      ...(has('algorithm') && responder.signatureAlgorithm !== undefined
        ? { signatureAlgorithm: responder.signatureAlgorithm }
        : {}),
      ...(has('spki') && responder.spki !== undefined ? { spki: responder.spki } : {}),
    },
    ...(has('question') && context.question !== undefined ? { question: context.question } : {}),
    ...(has('meant') && context.meant !== undefined ? { meant: context.meant } : {}),
    ...(has('meantExtensions') && context.meantExtensions !== undefined
      ? { meantExtensions: context.meantExtensions }
      : {}),
    ...(has('certificates') && context.certificates !== undefined
      ? { certificates: context.certificates }
      : {}),
    ...(has('archiveCutoff') && context.archiveCutoff !== undefined
      ? { archiveCutoff: context.archiveCutoff }
      : {}),
  }
}

test('the gate has at least 60 checks, each with a name of its own, an id and a rule', () => {
  expect(checks.length).toBeGreaterThanOrEqual(60)
  expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length)
  for (const { id, name, rule } of checks) {
    expect(id).toMatch(/^R[1-8]\.\d+$/)
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(rule.length).toBeGreaterThan(10)
  }
})

test('every check but that of the signature, which has tests of its own, has a case that breaks it', () => {
  expect(names(CASES)).toEqual(checks.flatMap(({ name }) => (name === 'signature-value' ? [] : name)).sort())
})

test('the response that the cases break is without fault, and everything about it is judged', () => {
  const der = encode(DRAFT)
  const report = lint(der, contextOf(der))
  expect(report.findings).toEqual([])
  expect(report.notJudged).toEqual([])
})

describe('a response that breaks one rule is found out by the check of that rule (law 5, R8.1)', () => {
  test.each(CASES.map(titled))('$name', ({ one }) => {
    const { findings } = lint(one.der, contextFor(one))
    expect(names(findings)).toEqual(
      names([{ check: one.check }, ...(one.also ?? []).map((check) => ({ check }))]),
    )
    const found = findings.find(({ check }) => check === one.check)
    expect(found?.id).toBe(checkOf(one.check)?.id)
    expect(found?.message).toContain(checkOf(one.check)?.rule)
  })
})

describe('a check needs what it says it needs, and no more', () => {
  test.each(CASES.map(titled))('$name', ({ one }) => {
    const check = checkOf(one.check)
    if (check === undefined) throw new Error('no such check')
    const needs = needsOf(check).filter((need) => need !== 'octets')
    const context = contextFor(one)
    expect(names(lint(one.der, only(context, needs)).findings)).toContain(one.check)
    for (const missing of needs) {
      const report = lint(
        one.der,
        only(
          context,
          needs.filter((need) => need !== missing),
        ),
      )
      expect(names(report.findings)).not.toContain(one.check)
      if (report.basic !== undefined) expect(report.notJudged).toContain(check)
    }
  })
})

describe('a value that was decoded before is judged as its octets are', () => {
  const readable = CASES.filter(({ der }) => lint(der).basic !== undefined)
  test.each(readable.map(titled))('$name', ({ one }) => {
    const context = contextFor(one)
    const whole = lint(one.der, context).findings.filter(({ check }) => !check.startsWith('size'))
    expect(lintBasic(decodeSuccessfulResponse(one.der), context)).toEqual(whole)
  })
})

describe('the level of a finding follows the profile', () => {
  const levels = (name: string) => {
    const one = CASES.find(({ check }) => check === name)
    if (one === undefined) throw new Error(`no case of ${name}`)
    const context = contextFor(one)
    const { profile: _, ...bare } = context
    return [
      bare,
      { ...bare, profile: 'private' as const },
      { ...bare, profile: 'public-trust' as const },
    ].map((each) => lint(one.der, each).findings.find(({ check }) => check === name)?.level)
  }

  test('what RFC 9919 asks beyond RFC 6960 is an error under a profile (R1.53, R1.64)', () => {
    expect(levels('responder-by-name')).toEqual(['warning', 'error', 'error'])
    expect(levels('next-update-absent')).toEqual(['warning', 'error', 'error'])
  })

  test('what the Baseline Requirements ask alone is an error under public-trust (R4.20)', () => {
    expect(levels('reason-code-in-single')).toEqual(['warning', 'warning', 'error'])
  })

  test('what the root programs ask is not judged elsewhere (R4.1, R4.32)', () => {
    expect(levels('longer-than-seven-days')).toEqual([undefined, undefined, 'error'])
  })
})
