/** Several pieces of work under way at a time, so that their waits for stores overlap; memory is bounded by how many. */

/**
 * Works through the items in order, at most `atOnce` at a time. An item that may not begin yet waits until another ends, and
 * the work stops when none is left to wait for. What was begun is finished.
 * @throws the first error of `work`, once all that was begun has ended; nothing is begun after it
 */
export async function atOnce<T>(
  items: Iterable<T>,
  most: number,
  work: (item: T) => Promise<void>,
  mayBegin: (item: T) => boolean = () => true,
): Promise<void> {
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  for (const item of items) {
    while (running.size > 0 && failure === undefined && (running.size >= most || !mayBegin(item)))
      await Promise.race(running)
    if (failure !== undefined || !mayBegin(item)) break
    const one = work(item)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => running.delete(one))
    running.add(one)
  }
  await Promise.all(running)
  if (failure !== undefined) throw failure.error
}
