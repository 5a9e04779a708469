/** The memory that everything remembered in an isolate is kept in. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecentlyUsed } from '../../src/ports/recently-used.ts'

const KEYS = ['a', 'b', 'c', 'd', 'e']

/** The same in plain words: an array, oldest first. */
class Model {
  kept: { key: string; value: number; weight: number }[] = []
  readonly dropped: (number | undefined)[] = []
  readonly max: number

  constructor(max: number) {
    this.max = max
  }

  get(key: string): number | undefined {
    const found = this.kept.find((one) => one.key === key)
    if (found !== undefined) this.kept = [...this.kept.filter((one) => one !== found), found]
    return found?.value
  }

  set(key: string, value: number, weight: number): void {
    this.kept = [...this.kept.filter((one) => one.key !== key), { key, value, weight }]
    while (this.weight > this.max) this.dropped.push(this.kept.shift()?.value)
  }

  get weight(): number {
    return this.kept.reduce((sum, one) => sum + one.weight, 0)
  }
}

type Step =
  | { readonly do: 'get' | 'peek' | 'delete'; readonly key: string }
  | { readonly do: 'set'; readonly key: string; readonly value: number; readonly weight: number }
  | { readonly do: 'deleteAll'; readonly below: number }

const key = fc.constantFrom(...KEYS)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('get' as const, 'peek' as const, 'delete' as const), key }),
    fc.record({
      do: fc.constant('set' as const),
      key,
      value: fc.integer({ min: 0, max: 9 }),
      weight: fc.integer({ min: 0, max: 12 }),
    }),
    fc.record({ do: fc.constant('deleteAll' as const), below: fc.integer({ min: 0, max: 10 }) }),
  ),
  { maxLength: 60 },
)

describe('what is remembered', () => {
  test('is what was used last, up to the weight, whatever was done; who keeps it hears what made room', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const dropped: number[] = []
        const memory = new RecentlyUsed<number>(10, (value) => dropped.push(value))
        const model = new Model(10)
        for (const step of all) {
          if (step.do === 'get') expect(memory.get(step.key)).toBe(model.get(step.key))
          else if (step.do === 'set') {
            memory.set(step.key, step.value, step.weight)
            model.set(step.key, step.value, step.weight)
          } else if (step.do === 'delete') {
            memory.delete(step.key)
            model.kept = model.kept.filter((one) => one.key !== step.key)
          } else if (step.do === 'deleteAll') {
            memory.deleteAll((value) => value < step.below)
            model.kept = model.kept.filter(({ value }) => value >= step.below)
          }
          for (const each of KEYS)
            expect(memory.peek(each)).toBe(model.kept.find((one) => one.key === each)?.value)
          expect(memory.weight).toBe(model.weight)
          expect(memory.size).toBe(model.kept.length)
          expect(dropped).toEqual(model.dropped)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a value that is too heavy by itself is not kept, and neither is anything else', () => {
    const memory = new RecentlyUsed<number>(10)
    memory.set('a', 1, 5)
    memory.set('b', 2, 11)
    expect([memory.peek('a'), memory.peek('b'), memory.weight]).toEqual([undefined, undefined, 0])
  })
})
