import { describe, expect, test } from 'vitest'
import * as z from 'zod/mini'
import { ADMIN_ROUTES, type AdminRoute, CertificateInput, ErrorBody } from '../../src/admin-api/contract.ts'
import { jsonSchemaOf } from '../../src/http/admin-json-schema.ts'
import { adminWorld, at } from './admin-world.ts'

/** What zod itself makes of a schema. */
function expected(schema: z.ZodMiniType, io: 'input' | 'output'): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

const schemas = Object.entries<AdminRoute>(ADMIN_ROUTES).flatMap(([name, { request, query, response }]) => [
  [`${name} request`, request] as const,
  [`${name} query`, query] as const,
  [`${name} response`, response] as const,
])
const all = [...schemas, ['CertificateInput', CertificateInput] as const, ['ErrorBody', ErrorBody] as const]

describe('JSON Schema of the contract', () => {
  test.each(all.filter(([, schema]) => schema !== undefined))('%s is what zod says', (_, schema) => {
    if (schema === undefined) return
    for (const io of ['input', 'output'] as const)
      expect(jsonSchemaOf(schema, io)).toEqual(expected(schema, io))
  })

  test('refuses a kind that it does not know, rather than to leave something out', () => {
    expect(() => jsonSchemaOf(z.map(z.string(), z.string()), 'input')).toThrow(/map/)
    expect(() => jsonSchemaOf(z.object({ a: z.optional(z.date()) }), 'output')).toThrow(/date/)
  })
})

test('GET /openapi.json has every route, its body, its answer and its parameters', async () => {
  const document = await adminWorld().call('GET', '/openapi.json')
  for (const route of Object.values<AdminRoute>(ADMIN_ROUTES)) {
    const operation = at(document.at(`paths`), '') // paths have dots and slashes: looked up by hand
    const methods = new Map(Object.entries(Object(operation))).get(route.path)
    const found = at(methods, route.method.toLowerCase())
    const status = String(route.status ?? 200)
    expect(at(found, `responses.${status}.content`)).toEqual({
      'application/json': { schema: expected(route.response, 'output') },
    })
    if (route.request !== undefined)
      expect(at(found, 'requestBody.content')).toEqual({
        'application/json': { schema: expected(route.request, 'input') },
      })
    const parameters = at(found, 'parameters')
    expect(Array.isArray(parameters) ? parameters.length : 0).toBe(
      (route.path.match(/\{/g)?.length ?? 0) +
        Object.keys(at(jsonSchemaOf(route.query ?? z.object({}), 'input'), 'properties') ?? {}).length,
    )
  }
})
