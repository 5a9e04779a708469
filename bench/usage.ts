/** The command line of a benchmark: --help says how, wrong usage ends the process with 2. */

/**
 * @param help one line of usage, one for each option
 * @param read from process.argv; throws what is wrong with it
 */
export function fromCommandLine<T>(help: string, read: () => T): T {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    process.stdout.write(`${help}\n`)
    process.exit(0)
  }
  try {
    return read()
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${help}\n`)
    process.exit(2)
  }
}

/** @throws Error unless it is a whole number from `low` to `high` */
export function readCount(name: string, text: string, low: number, high: number): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= low && count <= high) return count
  throw new Error(`${name} is "${text}", not a whole number from ${low} to ${high}`)
}
