/**
 * What an isolate remembers up to a weight, least recently used out first. A list beside the map has the order: to take a key
 * out of a Map and put it back leaves a hole in the same chain each time, and with thousands of entries the key that everybody
 * asks for costs 30 µs a look.
 */
interface Node<V> {
  readonly key: string
  readonly value: V
  readonly weight: number
  newer: Node<V> | undefined
  older: Node<V> | undefined
}

export class RecentlyUsed<V> {
  readonly #nodes = new Map<string, Node<V>>()
  readonly #maxWeight: number
  readonly #dropped: ((value: V) => void) | undefined
  #newest: Node<V> | undefined
  #oldest: Node<V> | undefined
  #weight = 0

  /**
   * @param maxWeight of all values together, in the unit of `set`
   * @param dropped is told of each value that had to make room
   */
  constructor(maxWeight: number, dropped?: (value: V) => void) {
    this.#maxWeight = maxWeight
    this.#dropped = dropped
  }

  /** What is kept weighs. */
  get weight(): number {
    return this.#weight
  }

  get size(): number {
    return this.#nodes.size
  }

  /** Counts as use. */
  get(key: string): V | undefined {
    const node = this.#nodes.get(key)
    if (node === undefined) return undefined
    if (node !== this.#newest) {
      this.#unlink(node)
      this.#link(node)
    }
    return node.value
  }

  /** Without using it. */
  peek(key: string): V | undefined {
    return this.#nodes.get(key)?.value
  }

  /** Counts as use; then what was not used for longest goes until the rest weighs no more than it may: a value too heavy by itself, too. */
  set(key: string, value: V, weight: number): void {
    this.delete(key)
    const node: Node<V> = { key, value, weight, newer: undefined, older: undefined }
    this.#nodes.set(key, node)
    this.#link(node)
    this.#weight += weight
    while (this.#weight > this.#maxWeight && this.#oldest !== undefined) {
      const { key: oldest, value: dropped } = this.#oldest
      this.delete(oldest)
      this.#dropped?.(dropped)
    }
  }

  delete(key: string): void {
    const node = this.#nodes.get(key)
    if (node === undefined) return
    this.#nodes.delete(key)
    this.#unlink(node)
    this.#weight -= node.weight
  }

  /** Drops all values of which this is true. */
  deleteAll(isWanted: (value: V) => boolean): void {
    for (const [key, { value }] of this.#nodes) if (isWanted(value)) this.delete(key)
  }

  #link(node: Node<V>): void {
    node.older = this.#newest
    node.newer = undefined
    if (this.#newest === undefined) this.#oldest = node
    else this.#newest.newer = node
    this.#newest = node
  }

  #unlink({ newer, older }: Node<V>): void {
    if (newer === undefined) this.#newest = older
    else newer.older = older
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
  }
}
