/** Options that stand on every command, and the way a command runs. */
import { Command, Option } from 'commander'
import { type CommonOptions, type Context, createContext, DEFAULT_STATE, DEFAULT_URL } from './context.ts'
import type { ExitCode } from './exit.ts'

/** A leaf command: name and arguments, summary, examples (without the program's name) for --help. */
export function leaf(usage: string, summary: string, examples: readonly string[], notes = ''): Command {
  return withExamples(new Command(usage.split(' ')[0]).summary(summary).description(summary), examples, notes)
    .addOption(new Option('--json', 'print the result as JSON'))
    .addOption(new Option('--state <dir>', `state folder (EDGE_OCSP_STATE; default ${DEFAULT_STATE})`))
}

/** A leaf command that talks to the admin API. */
export function adminLeaf(usage: string, summary: string, examples: readonly string[], notes = ''): Command {
  return leaf(usage, summary, examples, notes).addOption(
    new Option('--url <url>', `address of the responder (EDGE_OCSP_URL; default ${DEFAULT_URL})`),
  )
}

/** A command that only holds others. */
export function group(
  name: string,
  summary: string,
  examples: readonly string[],
  children: readonly Command[],
): Command {
  const parent = withExamples(new Command(name).summary(summary).description(summary), examples, '')
  for (const child of children) parent.addCommand(child)
  return parent
}

function withExamples(command: Command, examples: readonly string[], notes: string): Command {
  const lines = examples.map((example) => `  $ edge-ocsp ${example}`)
  const title = examples.length === 1 ? 'Example:' : 'Examples:'
  return command.addHelpText('after', `\n${notes === '' ? '' : `${notes}\n\n`}${title}\n${lines.join('\n')}`)
}

/** Runs a command's work in its context and keeps the exit code for main(). */
export async function run(
  options: CommonOptions,
  work: (context: Context) => Promise<ExitCode>,
): Promise<void> {
  process.exitCode = await work(createContext(options))
}
