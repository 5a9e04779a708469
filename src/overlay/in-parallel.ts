/**
 * The same for each, so many at once. After a failure no other is begun, and it rejects when those under way have ended.
 */
export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = items.values()
  let failed = false
  const lane = async () => {
    for (const item of rest) {
      if (failed) return
      try {
        await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: atOnce }, lane))
  const problem = lanes.find((one) => one.status === 'rejected')
  if (problem !== undefined) throw problem.reason
}
