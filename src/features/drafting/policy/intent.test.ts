import { describe, expect, it } from 'vitest'
import { judgeIntent } from './intent'
import { MIN_CONFIDENCE } from './gate'

describe('an inquiry like many others', () => {
  it.each([
    ['Prices', 'Hi, could you send me your price list? How much is the small boat?', 'pricing'],
    ['Question', 'What does it cost per month for 20 users?', 'pricing'],
    ['', 'We would like to get a quote for 40 chairs.', 'pricing'],
    ['Demo', 'Could we schedule a demo next week?', 'meeting'],
    ['', 'I would love to hop on a call with you about our new office.', 'meeting'],
    ['Help', 'The app crashes with an error when I open it. Can you fix this?', 'support'],
    ['', 'I cannot log in since yesterday, the page does not load.', 'support'],
    ['Availability', 'Is the cabin available in the second week of May?', 'availability'],
    ['', 'What are your opening hours on Saturdays?', 'availability'],
    ['Hello', 'I am interested in your services. Could you tell me more?', 'general'],
    ['New kitchen', 'We are looking for somebody who can rebuild our kitchen in spring.', 'general'],
  ])('%s: %s → %s', (subject, text, intent) => {
    const judged = judgeIntent(subject, text)
    expect({ intent: judged.intent, needs_human: judged.needs_human }).toEqual({ intent, needs_human: null })
    expect(judged.confidence).toBeGreaterThanOrEqual(MIN_CONFIDENCE)
  })
})

describe('what the words do not settle', () => {
  it.each([
    ['', 'hi'],
    ['', 'ok thanks'],
    ['Prices', 'price'],
    ['', `Could you help us? ${'We have a long story to tell. '.repeat(150)}`],
  ])('%s: %j is not sure enough to leave unseen', (subject, text) => {
    expect(judgeIntent(subject, text).confidence).toBeLessThan(MIN_CONFIDENCE)
  })

  it.each([
    ['', ''],
    ['', '   \n'],
    ['Refund', 'I want my money back, this is unacceptable.'],
    ['', 'Please cancel my subscription.'],
    ['', 'I am applying for the position, my CV is attached.'],
    [
      'Anfrage',
      'Guten Tag, ich möchte gerne wissen, was das kostet. Können Sie mir bitte ein Angebot schicken?',
    ],
    ['Orçamento', 'Olá, gostaria de saber o preço para uma equipe de 20 pessoas. Obrigado!'],
    ['Precio', 'Hola, quisiera saber el precio para una empresa. Gracias por su respuesta.'],
    ['Prix', 'Bonjour, je voudrais connaître votre prix pour une équipe. Merci.'],
    ['Запрос', 'Здравствуйте, сколько стоит ваша услуга?'],
    ['', '价格是多少？我们有二十个用户。'],
  ])('%s: %j needs a person', (subject, text) => {
    expect(judgeIntent(subject, text).needs_human).toEqual(expect.any(String))
  })

  it('counts what the subject says: a short body under a clear subject is clear', () => {
    expect(judgeIntent('Pricing?', '10 seats?')).toEqual({
      intent: 'pricing',
      confidence: 0.79,
      needs_human: null,
    })
  })
})
