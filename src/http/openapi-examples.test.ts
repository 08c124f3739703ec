import { expect, it } from 'vitest'
import { exampleOf, type JsonSchema } from './openapi-examples'

const schemas: Record<string, JsonSchema> = {
  Person: {
    type: 'object',
    properties: {
      id: { type: 'string', format: 'uuid' },
      name: { type: 'string', minLength: 6 },
      role: { type: 'string', enum: ['owner', 'agent'] },
      boss: { $ref: '#/components/schemas/Person' },
    },
  },
  Named: { type: 'object', example: { name: 'Ada' } },
}

it('prefers the example that a schema gives', () => {
  expect(exampleOf({ $ref: '#/components/schemas/Named' }, schemas)).toEqual({ name: 'Ada' })
})

it('makes one from properties, formats and enumerations', () => {
  const schema: JsonSchema = {
    type: 'object',
    properties: {
      at: { type: ['string', 'null'], format: 'date-time' },
      count: { type: 'integer', minimum: 3 },
      tags: { type: 'array', items: { type: 'string' } },
      window: { type: 'array', prefixItems: [{ type: 'string', example: '09:00' }, { type: 'boolean' }] },
      either: { anyOf: [{ type: 'null' }, { type: 'number' }] },
      both: {
        allOf: [{ $ref: '#/components/schemas/Named' }, { type: 'object', properties: { x: { const: 1 } } }],
      },
    },
  }
  expect(exampleOf(schema, schemas)).toEqual({
    at: '2026-11-20T09:30:00.000Z',
    count: 3,
    tags: ['text'],
    window: ['09:00', true],
    either: 1,
    both: { name: 'Ada', x: 1 },
  })
})

it('ends where a schema names itself', () => {
  const person = exampleOf({ $ref: '#/components/schemas/Person' }, schemas)
  expect(person).toMatchObject({ name: 'text..', role: 'owner', boss: { name: 'text..' } })
})
