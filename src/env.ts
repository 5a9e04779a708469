/**
 * What the Worker is given: bindings of wrangler.toml (worker-configuration.d.ts, generated), secrets and optional
 * variables. Everything optional is checked where it is used; /readyz names what is missing.
 */
export interface Env extends Cloudflare.Env {
  /** Secret: bearer token of the admin API. */
  readonly ADMIN_TOKEN?: string
  /** Secret: base64 of 32 octets, wraps responder keys. */
  readonly KEY_ENCRYPTION_KEY?: string
  /** Host that alone serves the admin API. */
  readonly ADMIN_HOST?: string
  /** Share of successful exchanges that are logged, 0 to 1. Default 0.01. */
  readonly LOG_SAMPLE_RATE?: string
  /** Bound B in seconds. Default 300. */
  readonly PROPAGATION_BOUND_SECONDS?: string
  /** Budget of one cron run in units of one P-256 signature. Default 200000. */
  readonly SIGNATURES_PER_RUN?: string
  /** Workers Analytics Engine, one point an exchange. */
  readonly METRICS?: AnalyticsEngineDataset
}

export interface Settings {
  readonly logSampleRate: number
  readonly boundSeconds: number
  readonly signaturesPerRun: number
}

/** Variables as numbers; what is not a number in range falls back to the default, and is reported by name. */
export function readSettings(env: Env): { settings: Settings; problems: readonly string[] } {
  const problems: string[] = []
  const number = (
    name: 'LOG_SAMPLE_RATE' | 'PROPAGATION_BOUND_SECONDS' | 'SIGNATURES_PER_RUN',
    low: number,
    high: number,
    otherwise: number,
  ) => {
    const text = env[name]
    if (text === undefined || text === '') return otherwise
    const value = Number(text)
    if (value >= low && value <= high) return value
    problems.push(`${name} is "${text}": a number from ${low} to ${high} is wanted, ${otherwise} is used`)
    return otherwise
  }
  const settings = {
    logSampleRate: number('LOG_SAMPLE_RATE', 0, 1, 0.01),
    boundSeconds: number('PROPAGATION_BOUND_SECONDS', 120, 3_600, 300),
    signaturesPerRun: number('SIGNATURES_PER_RUN', 1, 100_000_000, 200_000),
  }
  return { settings, problems }
}
