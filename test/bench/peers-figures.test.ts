import { expect, describe as group, test } from 'vitest'
import {
  best,
  describe,
  judge,
  leastProcessor,
  mustBeSound,
  type Outcome,
  percentile,
  type Round,
  turns,
} from '../../bench/peers/figures.ts'

const round = (perSecond: number, p99 = 1): Round => ({
  perSecond,
  p50: 0.5,
  p99,
  processor: 1e6 / perSecond,
  serverShare: 1,
  loadShare: 0.3,
})

group('percentile', () => {
  test('is the value of the nearest rank, as in a table written by hand', () => {
    const ascending = [15, 20, 35, 40, 50]
    expect([0.05, 0.3, 0.4, 0.5, 0.99, 1].map((share) => percentile(ascending, share))).toEqual([
      15, 20, 20, 35, 50, 50,
    ])
  })

  test('of a hundred values the 99th is p99, not the largest', () => {
    const ascending = Float64Array.from({ length: 100 }, (_, i) => i + 1)
    expect(percentile(ascending, 0.99)).toBe(99)
    expect(percentile(ascending, 0.5)).toBe(50)
  })

  test('of one value is that value, of none no number', () => {
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })
})

group('the best round', () => {
  test('is the one with the most answers a second, and brings its own percentiles', () => {
    expect(best([round(100, 9), round(300, 5), round(200, 1)])).toEqual(round(300, 5))
  })

  test('of no rounds is none', () => {
    expect(best([])).toBeUndefined()
  })

  test('is not asked for the processor time, of which the least counts', () => {
    const rounds = [
      { ...round(300), processor: 90 },
      { ...round(200), processor: 70 },
    ]
    expect(leastProcessor(rounds)).toBe(70)
    expect(leastProcessor([])).toBeNaN()
  })
})

group('turns', () => {
  test('every other round goes the other way around', () => {
    expect([0, 1, 2, 3].map((number) => turns(3, number))).toEqual([
      [0, 1, 2],
      [2, 1, 0],
      [0, 1, 2],
      [2, 1, 0],
    ])
  })
})

group('what makes a measurement void', () => {
  const sound = { answers: 1000, not200: 0, broken: 0 }

  test('one answer of a thousand that is not 200', () => {
    expect(() => mustBeSound({ ...sound, not200: 1 })).toThrow('1 of 1000 answers were not 200')
  })

  test('a broken exchange', () => {
    expect(() => mustBeSound({ ...sound, broken: 2 })).toThrow('2 exchanges broke')
  })

  test('no answer at all', () => {
    expect(() => mustBeSound({ ...sound, answers: 0 })).toThrow('no answer')
  })

  test('nothing else', () => {
    expect(() => mustBeSound(sound)).not.toThrow()
  })
})

group('targets', () => {
  const target = { what: 'POST', ours: 'a', theirs: 'b', wanted: 0.8 }
  const row = (perSecond: number, processor = 100): Outcome => ({ best: round(perSecond), processor })
  const outcomes = (ours: Outcome, theirs: Outcome) =>
    new Map([
      ['a', ours],
      ['b', theirs],
    ])

  test('are reached by a ratio that is as high as wanted', () => {
    const judged = judge(target, outcomes(row(800, 125), row(1000, 100)))
    expect(judged).toMatchObject({ verdict: 'reached', ratio: 0.8 })
    expect(describe(judged)).toBe('POST: reached: 0.80, wanted 0.80 (by processor time 0.80)')
  })

  test('are not reached by less, and the ratio is not rounded up to what was wanted', () => {
    const judged = judge(target, outcomes(row(7999), row(10_000)))
    expect(judged.verdict).toBe('not reached')
    expect(describe(judged)).toBe('POST: not reached: 0.79, wanted 0.80 (by processor time 1.00)')
  })

  test('tell what the least Worker reaches, if it was measured', () => {
    const withLeast = { ...target, least: 'c' }
    const both = outcomes(row(900), row(1000))
    expect(describe(judge(withLeast, new Map([...both, ['c', row(1199)]])))).toContain(
      'the least Worker: 1.19',
    )
    expect(describe(judge(withLeast, new Map([...both, ['c', { missing: 'void' }]])))).not.toContain('least')
    expect(describe(judge(withLeast, both))).not.toContain('least')
  })

  test('are not measured when a row is void or missing, and the reason is told', () => {
    const isVoid = judge(target, outcomes(row(1), { missing: 'void: 3 exchanges broke' }))
    expect(describe(isVoid)).toBe('POST: not measured (b: void: 3 exchanges broke), wanted 0.80')
    const isMissing = judge(target, new Map([['a', row(1)]]))
    expect(describe(isMissing)).toBe('POST: not measured (no row "b"), wanted 0.80')
  })
})
