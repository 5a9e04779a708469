/** How a cost grows with the number of certificates. */

/**
 * Least squares through the logarithms: the exponent e of cost = c * size^e. 1 is linear.
 * @throws RangeError without two different sizes
 */
export function exponentOf(points: readonly { readonly size: number; readonly cost: number }[]): number {
  const logs = points.map(({ size, cost }) => ({ x: Math.log(size), y: Math.log(cost) }))
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(logs.map((point) => point.x)), mean(logs.map((point) => point.y))]
  const spread = mean(logs.map((point) => (point.x - x) ** 2))
  if (!(spread > 0)) throw new RangeError('an exponent needs two sizes')
  return mean(logs.map((point) => (point.x - x) * (point.y - y))) / spread
}
