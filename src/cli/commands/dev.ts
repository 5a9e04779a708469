import { type Command, InvalidArgumentError } from 'commander'
import { leaf } from '../common-options.ts'
import { type CommonOptions, resolveState } from '../context.ts'
import { parseDuration } from '../duration.ts'

interface DevOptions extends CommonOptions {
  readonly port?: number
  readonly host: string
  readonly demo: boolean
  readonly validity?: number
  readonly databases: number
}

const DEFAULT_PORT = 8787

export function devCommand(): Command {
  return leaf(
    'dev',
    'run a responder on this machine, with a demonstration CA',
    ['dev', 'dev --port 9000 --state /tmp/ocsp --no-demo', 'dev --validity 4m'],
    'The same Worker that runs at the edge, in Miniflare; everything stays in the state folder. Ctrl-C ends it.',
  )
    .option('--port <port>', `port to listen on (default ${DEFAULT_PORT})`, parsePort)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--no-demo', 'no demonstration CA: start empty')
    .option('--validity <duration>', 'validity of the demonstration responses, such as 4m', (text) =>
      parseDuration(text, '--validity'),
    )
    .option('--databases <count>', 'D1 databases, 1 to 16 (see docs/operations.md)', parseCount, 1)
    .action(async (options: DevOptions) => {
      // Loaded here: no other command needs Miniflare.
      const { runDev } = await import('../dev/main.ts')
      process.exitCode = await runDev({
        port: options.port ?? DEFAULT_PORT,
        host: options.host,
        state: resolveState(options),
        demo: options.demo,
        validitySeconds: options.validity,
        databases: options.databases,
        json: options.json,
      })
    })
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,2}$/.test(text) || count < 1 || count > 16)
    throw new InvalidArgumentError('Expected a number of databases, 1 to 16.')
  return count
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('Expected a port number, 0 to 65535.')
  return port
}
