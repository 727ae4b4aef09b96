import diagnosticsChannel from 'node:diagnostics_channel'
import type { Test } from 'tap'
import t from 'tap'
import { createEvents, eventNames } from '../../lib/events'

/** A log that keeps what it is told, as text. */
function keepingLog () {
  const lines: string[] = []
  const keep = (...line: unknown[]) => { lines.push(JSON.stringify(line)) }
  return { lines, log: { info: keep, warn: keep, error: keep } as never }
}

/** Subscribes to the channel of an event for one test; answers the messages. */
function subscribe (t: Test, name: string, then: () => void = () => {}): unknown[] {
  const messages: unknown[] = []
  const subscriber = (message: unknown) => { messages.push(message); then() }
  diagnosticsChannel.subscribe(`fastify-jwt-session:${name}`, subscriber)
  t.teardown(() => { diagnosticsChannel.unsubscribe(`fastify-jwt-session:${name}`, subscriber) })
  return messages
}

t.test('every event of every registration is published on its channel', async (t) => {
  const { log } = keepingLog()
  const [one, other] = [createEvents(log), createEvents(log)]
  for (const name of eventNames) {
    const messages = subscribe(t, name)
    const [first, second] = [{ name, is: 'first' }, { name, is: 'second' }]
    one.emit(name, first as never)
    other.emit(name, second as never)
    t.same(messages, [first, second], name)
  }
})

t.test('an event is heard while somebody listens to it, or to its channel', async (t) => {
  const { events, isHeard } = createEvents(keepingLog().log)
  t.equal(isHeard('store.called'), false)
  const listener = () => {}
  events.on('store.called', listener)
  t.equal(isHeard('store.called'), true)
  t.equal(isHeard('login.succeeded'), false, 'another one')
  events.off('store.called', listener)
  t.equal(isHeard('store.called'), false)
  subscribe(t, 'store.called')
  t.equal(isHeard('store.called'), true)
})

t.test('what a subscriber throws is raised by Node as an uncaught exception, later, and disturbs nobody who hears of the event', async (t) => {
  const { log, lines } = keepingLog()
  const { events, emit } = createEvents(log)
  const heard: unknown[] = []
  events.on('password.rehashed', (event) => heard.push(event))
  subscribe(t, 'password.rehashed', () => { throw new Error('a subscriber') })
  const messages = subscribe(t, 'password.rehashed')
  const uncaught: string[] = []
  process.setUncaughtExceptionCaptureCallback((error) => { uncaught.push(error.message) })
  t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))

  emit('password.rehashed', { subject: 'alice' })
  t.same([heard, messages, uncaught], [[{ subject: 'alice' }], [{ subject: 'alice' }], []])
  await new Promise((resolve) => setImmediate(resolve))
  t.same(uncaught, ['a subscriber'])
  t.same(lines, [])
})

t.test('what is no news for an operator is not logged, and what is has no username', async (t) => {
  const { log, lines } = keepingLog()
  const { emit } = createEvents(log)
  emit('request.refused', { code: 'FST_JWT_SESSION_TOKEN_MISSING', statusCode: 401, route: '/me' })
  emit('store.called', { operation: 'read', duration: 1, outcome: 'failed' })
  t.same(lines, [])
  emit('login.failed', { username: 'my password', device: { ip: '::1' } })
  t.equal(lines.length, 1)
  t.notMatch(lines.join(), 'my password')
})
