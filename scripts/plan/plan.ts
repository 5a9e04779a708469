/** The model and the prices together. */
import { costOf } from './cost.ts'
import type { PlanInput } from './input.ts'
import { type Model, modelOf } from './model.ts'
import type { Ways } from './print.ts'

export function planOf(input: PlanInput): { readonly model: Model; readonly ways: Ways } {
  const model = modelOf(input)
  const { bundles, oneKey, onDemand } = model.ways
  return {
    model,
    ways: {
      bundles: { items: bundles, cost: costOf(bundles) },
      oneKey: { items: oneKey, cost: costOf(oneKey) },
      onDemand: { items: onDemand, cost: costOf(onDemand) },
    },
  }
}
