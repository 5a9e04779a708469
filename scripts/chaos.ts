/** `npm run chaos`: test/chaos/command.ts, which says what it takes. */
const { main }: { main(args: readonly string[]): Promise<number> } = await import(
  new URL('../test/chaos/command.ts', import.meta.url).href
)
// Deadlines of calls that nobody waits for any more would hold the process for minutes.
process.exit(await main(process.argv.slice(2)))
