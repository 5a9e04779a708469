/** The OpenAPI 3.1 document, made of the contract: it cannot say other than what is checked. */
import {
  ADMIN_PREFIX,
  ADMIN_ROUTES,
  type AdminRoute,
  CertificateInput,
  ErrorBody,
} from '../admin-api/contract.ts'
import { jsonSchemaOf } from './admin-json-schema.ts'

const JSON_TYPE = 'application/json'

function parametersOf(route: AdminRoute): object[] {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const query = route.query === undefined ? undefined : jsonSchemaOf(route.query, 'output')['properties']
  const inQuery = Object.entries(typeof query === 'object' && query !== null ? query : {}).map(
    ([name, schema]) => ({
      name,
      in: 'query',
      required: false,
      schema,
    }),
  )
  return [...inPath, ...inQuery]
}

function operationOf(name: string, route: AdminRoute): object {
  const { request, response, status = 200, summary } = route
  return {
    operationId: name,
    summary,
    parameters: parametersOf(route),
    ...(request !== undefined && {
      requestBody: { content: { [JSON_TYPE]: { schema: jsonSchemaOf(request, 'input') } } },
    }),
    responses: {
      [status]: {
        description: 'Done',
        content: { [JSON_TYPE]: { schema: jsonSchemaOf(response, 'output') } },
      },
      default: {
        description: '400, 401, 403, 404, 405, 409, 413, 422, 500 or 503',
        content: { [JSON_TYPE]: { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

/** @param origin scheme and host that it was asked at */
export function openAPIDocument(origin: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const [name, route] of Object.entries<AdminRoute>(ADMIN_ROUTES)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Edge OCSP administration',
      version: '1',
      description: 'Times are RFC 3339 in UTC, serial numbers and hashes lower-case hex, certificates PEM.',
    },
    servers: [{ url: origin + ADMIN_PREFIX }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: {
        Error: jsonSchemaOf(ErrorBody, 'output'),
        CertificateInput: jsonSchemaOf(CertificateInput, 'input'),
      },
    },
  }
}
