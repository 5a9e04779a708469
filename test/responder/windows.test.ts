import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SigningError } from '../../src/ports/errors.ts'
import type { IssuerPolicy } from '../../src/ports/records.ts'
import {
  backdate,
  isCurrent,
  refreshAt,
  resignAt,
  unknownWindow,
  windowFrom,
} from '../../src/responder/windows.ts'
import { EPOCH } from '../support/clock.ts'
import { TEST_POLICY } from '../support/pki.ts'

const DAY = 86_400
const FAR = EPOCH + 3650 * DAY
const policy = (over: Partial<IssuerPolicy> = {}): IssuerPolicy => ({ ...TEST_POLICY, ...over })

const validity = fc.integer({ min: 60, max: 7 * DAY })
const jitter = fc.integer({ min: 0, max: 0xffff_ffff })
/** Of the last change, before or (by a fast clock) a little after now. */
const change = fc.integer({ min: -40 * DAY, max: 300 }).map((seconds) => EPOCH + seconds)
const end = fc.integer({ min: 2, max: 30 * DAY }).map((seconds) => EPOCH + seconds)

describe('a window', () => {
  test('has its times in order, never before the last change nor past its signer (R1.31, R1.62, R1.66)', () => {
    fc.assert(
      fc.property(validity, change, end, jitter, (validitySeconds, latest, notAfter, spread) => {
        const window = windowFrom(policy({ validitySeconds }), EPOCH, latest, notAfter, spread)
        expect(window.producedAt).toBe(EPOCH)
        expect(window.thisUpdate).toBeLessThanOrEqual(EPOCH)
        expect(window.thisUpdate).toBeGreaterThanOrEqual(Math.min(latest, EPOCH))
        expect(window.thisUpdate).toBeGreaterThanOrEqual(EPOCH - 300)
        expect(window.nextUpdate).toBeGreaterThan(EPOCH)
        expect(window.nextUpdate).toBeLessThanOrEqual(notAfter)
        expect(window.nextUpdate - window.thisUpdate + 1).toBeLessThanOrEqual(validitySeconds) // inclusive (R4.1)
        const current = resignAt(window)
        expect(current).toBeLessThanOrEqual(refreshAt(window))
        expect(refreshAt(window)).toBeLessThan(window.nextUpdate)
      }),
    )
  })

  test('jitter only shortens, by a twentieth at most (R6.19)', () => {
    fc.assert(
      fc.property(validity, jitter, (validitySeconds, spread) => {
        const plain = windowFrom(policy({ validitySeconds }), EPOCH, 0, FAR)
        const jittered = windowFrom(policy({ validitySeconds }), EPOCH, 0, FAR, spread)
        expect(jittered.nextUpdate).toBeLessThanOrEqual(plain.nextUpdate)
        expect(jittered.nextUpdate).toBeGreaterThanOrEqual(plain.nextUpdate - validitySeconds / 20)
      }),
    )
  })

  test('of seven days is one second short of them, backdated by five minutes (R1.67, R4.35)', () => {
    expect(windowFrom(policy(), EPOCH, 0, FAR)).toEqual({
      thisUpdate: EPOCH - 300,
      producedAt: EPOCH,
      nextUpdate: EPOCH - 300 + 7 * DAY - 1,
    })
    expect(backdate(policy({ validitySeconds: 60 }))).toBe(6)
  })

  test('public-trust refuses to sign for less than eight hours; private for less than a second (R4.1, R4.32)', () => {
    const trusted = policy({ profile: 'public-trust' })
    const least = 8 * 3_600
    expect(windowFrom(trusted, EPOCH, 0, EPOCH + least).nextUpdate).toBe(EPOCH + least)
    expect(() => windowFrom(trusted, EPOCH, 0, EPOCH + least - 1)).toThrow(SigningError)
    expect(windowFrom(policy(), EPOCH, 0, EPOCH + 1).nextUpdate).toBe(EPOCH + 1)
    expect(() => windowFrom(policy(), EPOCH, 0, EPOCH)).toThrow(/ends too soon/)
  })

  test('for a serial that is not recorded ends after ten minutes (R1.39, R6.8)', () => {
    const window = windowFrom(policy(), EPOCH, 0, FAR)
    expect(unknownWindow(window)).toEqual({ ...window, nextUpdate: EPOCH + 600 })
    const short = windowFrom(policy({ validitySeconds: 60 }), EPOCH, 0, FAR)
    expect(unknownWindow(short)).toEqual(short)
  })
})

describe('when', () => {
  test('a newer response is wanted: half of the window, or four days (R4.2, R4.3, R4.30, R4.32)', () => {
    const of = (seconds: number) => refreshAt({ thisUpdate: EPOCH, nextUpdate: EPOCH + seconds })
    expect(of(7 * DAY - 1)).toBe(EPOCH + Math.floor((7 * DAY - 1) / 2))
    expect(of(10 * DAY)).toBe(EPOCH + 4 * DAY)
    expect(of(60)).toBe(EPOCH + 30)
  })

  test('it is signed again: up to five minutes before, a twentieth of short windows (R2.11)', () => {
    const lead = (seconds: number) => {
      const window = { thisUpdate: EPOCH, nextUpdate: EPOCH + seconds }
      return refreshAt(window) - resignAt(window)
    }
    expect([lead(7 * DAY), lead(3_600), lead(60)]).toEqual([300, 180, 3])
  })

  test('it may leave: before nextUpdate, and under public-trust for four days (law 1, R6.2, R6.3)', () => {
    const window = { thisUpdate: EPOCH, nextUpdate: EPOCH + 7 * DAY }
    expect(isCurrent(window, 'private', EPOCH + 7 * DAY - 1)).toBe(true)
    expect(isCurrent(window, 'private', EPOCH + 7 * DAY)).toBe(false)
    expect(isCurrent(window, 'public-trust', EPOCH + 4 * DAY)).toBe(true)
    expect(isCurrent(window, 'public-trust', EPOCH + 4 * DAY + 1)).toBe(false)
  })
})
