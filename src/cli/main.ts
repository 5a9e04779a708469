/** The program: commands, usage errors (exit 2), one place where failures are printed. */
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { answerCommand } from './commands/answer.ts'
import { auditCommand } from './commands/audit.ts'
import { canaryCommand } from './commands/canary.ts'
import { certCommand } from './commands/cert.ts'
import { decodeCommand } from './commands/decode.ts'
import { devCommand } from './commands/dev.ts'
import { importCommand } from './commands/import.ts'
import { issuerCommand } from './commands/issuer.ts'
import { lintCommand } from './commands/lint.ts'
import { presignCommand } from './commands/presign.ts'
import { probeCommand } from './commands/probe.ts'
import { queryCommand } from './commands/query.ts'
import { rebuildCommand } from './commands/rebuild.ts'
import { responderCommand } from './commands/responder.ts'
import { revokeCommand, unrevokeCommand } from './commands/revoke.ts'
import { revokeManyCommand } from './commands/revoke-many.ts'
import { statusCommand } from './commands/status.ts'
import { EXIT } from './exit.ts'
import { reportFailure } from './output.ts'
import { VERSION } from './version.ts'

const HELP_FOOT = `
Exit codes: 0 good, 1 "no" (revoked, refused, a check failed), 2 usage, 3 could not find out.

Environment:
  EDGE_OCSP_URL    address of the responder (default http://127.0.0.1:8787)
  EDGE_OCSP_TOKEN  admin token (default: the file admin-token in the state folder)
  EDGE_OCSP_STATE  state folder (default .edge-ocsp)

An issuer is named by its certificate file, its subject key identifier in hex or its short name;
a serial number by hex (with or without 0x and colons), or in decimal with --decimal.

Examples:
  $ edge-ocsp dev
  $ edge-ocsp issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key
  $ edge-ocsp import openssl-index index.txt --issuer issuer.pem
  $ edge-ocsp revoke 0a:1b:2c --issuer issuer.pem --reason keyCompromise
  $ edge-ocsp query cert.pem --issuer issuer.pem`

function createProgram(): Command {
  const program = new Command('edge-ocsp')
    .description('An OCSP responder at the edge: run it, feed it, ask it.')
    .version(VERSION)
    .addHelpText('after', HELP_FOOT)
    .showHelpAfterError('Run it with --help for its options and an example.')
    .addCommand(devCommand())
    .addCommand(issuerCommand())
    .addCommand(responderCommand())
    .addCommand(certCommand())
    .addCommand(revokeCommand())
    .addCommand(unrevokeCommand())
    .addCommand(revokeManyCommand())
    .addCommand(importCommand())
    .addCommand(presignCommand())
    .addCommand(rebuildCommand())
    .addCommand(canaryCommand())
    .addCommand(statusCommand())
    .addCommand(auditCommand())
    .addCommand(queryCommand())
    .addCommand(decodeCommand())
    .addCommand(probeCommand())
    .addCommand(lintCommand())
    .addCommand(answerCommand())
  throwInsteadOfExit(program, program)
  return program
}

/** Settings are inherited only by commands made inside their parent; ours are made apart. */
function throwInsteadOfExit(command: Command, program: Command): void {
  if (command !== program) command.copyInheritedSettings(program)
  command.exitOverride()
  command.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'edge-ocsp: ')) })
  for (const child of command.commands) throwInsteadOfExit(child, program)
}

/** @param args without node and script. @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  // `edge-ocsp decode | head` closes our output early: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.good)
    throw error
  })
  try {
    await createProgram().parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? EXIT.good)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.good : EXIT.usage
    return reportFailure(error, args.includes('--json'))
  }
}

function isMain(): boolean {
  const script = process.argv[1]
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)
}

if (isMain()) process.exitCode = await main(process.argv.slice(2))
