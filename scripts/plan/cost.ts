/** Operations priced. What is included is used up by the work before traffic first: traffic pays for what it adds. */
import type { Item } from './model.ts'
import { dollarsFor, type Meter, PLAN_DOLLARS, PRICES } from './prices.ts'

export interface MeterCost {
  readonly meter: Meter
  /** Without traffic, and of traffic. */
  readonly before: number
  readonly traffic: number
  readonly dollarsBefore: number
  readonly dollarsTraffic: number
}

export interface Cost {
  readonly meters: readonly MeterCost[]
  /** A month, beyond the plan. */
  readonly before: number
  readonly traffic: number
  /** With the plan. */
  readonly total: number
}

export function costOf(items: readonly Item[]): Cost {
  const meters = PRICES.map(({ meter }): MeterCost => {
    const before = countOf(items, meter, (item) => item.part !== 'traffic')
    const traffic = countOf(items, meter, (item) => item.part === 'traffic')
    const dollarsBefore = dollarsFor(meter, before)
    const dollarsTraffic = dollarsFor(meter, before + traffic) - dollarsBefore
    return { meter, before, traffic, dollarsBefore, dollarsTraffic }
  })
  const before = meters.reduce((sum, { dollarsBefore }) => sum + dollarsBefore, 0)
  const traffic = meters.reduce((sum, { dollarsTraffic }) => sum + dollarsTraffic, 0)
  return { meters, before, traffic, total: before + traffic + PLAN_DOLLARS }
}

export function countOf(
  items: readonly Item[],
  meter: Meter,
  which: (item: Item) => boolean = () => true,
): number {
  return items
    .filter((item) => item.meter === meter && which(item))
    .reduce((total, { count }) => total + count, 0)
}
