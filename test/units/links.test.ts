import { EventEmitter } from 'node:events'
import t from 'tap'
import { subscriberOf } from '../../lib/stores/postgres-link'
import { redisStore, type RedisClient } from '../../lib/stores/redis'
import { keepSubscribed } from '../../lib/stores/subscription'
import type { PostgresClient } from '../../lib/stores/postgres-pool'
import type { SessionRecord, WatchHandlers } from '../../types'

// What real servers do only by chance, here on purpose.

type Link = Parameters<WatchHandlers['ready']>[0]

function listener () {
  const heard: string[] = []
  const links: Link[] = []
  const on: WatchHandlers = {
    ready (link) { heard.push('ready'); links.push(link) },
    lost: (reason) => { heard.push(`lost: ${(reason as Error).message}`) },
    revoked: (ids) => { heard.push(...ids) },
    changed: () => { heard.push('changed') }
  }
  return { heard, links, on }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

t.test('a message that cannot be read means that anything may have changed; a ping that cannot be sent is rejected', async (t) => {
  let receive = (_channel: string, _message: string): void => {}
  let isMute = false
  const { heard, links, on } = listener()
  const { close } = keepSubscribed({
    channel: 'revoked',
    echoChannel: 'echo',
    subscriber: () => ({ async open (_channels, onMessage) { receive = onMessage }, destroy () {} }),
    async publish (channel, message) {
      if (isMute) throw new Error('not connected')
      receive(channel, message)
    }
  }, on)
  await turn()
  const [link] = links as [Link]
  await link.ping()
  isMute = true
  await t.rejects(link.ping(), { message: 'not connected' })
  receive('another', '["x"]')
  receive('echo', '["x"]')
  for (const message of ['["a"]', 'no JSON', '', '"a"', '[1]', '["b"]']) receive('revoked', message)
  link.reset()
  receive('revoked', '["c"]')
  await t.rejects(link.ping(), { message: 'The subscription was reset' })
  t.same(heard, ['ready', 'a', 'changed', 'changed', 'changed', 'changed', 'b', 'lost: The subscription was reset'], 'a link that is over is heard no more')
  await close()
})

t.test('a connection that tells of its end while it is destroyed is replaced by one, and no more', async (t) => {
  const { heard, links, on } = listener()
  const open = new Set<number>()
  let [opened, receive] = [0, (_channel: string, _message: string): void => {}]
  const { close } = keepSubscribed({
    channel: 'revoked',
    echoChannel: 'echo',
    subscriber (onTrouble) {
      const number = opened++
      return {
        async open (_channels, onMessage) {
          open.add(number)
          receive = onMessage
        },
        // As a client of node-redis does.
        destroy () {
          open.delete(number)
          onTrouble(new Error('ended'))
        }
      }
    },
    async publish (channel, message) { receive(channel, message) }
  }, on)
  await turn()
  links[0]?.reset()
  while (links.length < 2) await turn()
  await new Promise((resolve) => setTimeout(resolve, 150))
  t.same(Array.from(open), [1])
  t.same(heard, ['ready', 'lost: The subscription was reset', 'ready'])
  await close()
  t.equal(open.size, 0)
})

t.test('an echo and the end of its connection in one piece make no subscription; who closes on a loss hears no more', async (t) => {
  const { heard, on } = listener()
  let receive = (_channel: string, _message: string): void => {}
  let opened = 0
  const { close } = keepSubscribed({
    channel: 'revoked',
    echoChannel: 'echo',
    subscriber: (onTrouble) => ({
      async open (_channels, onMessage) {
        opened++
        receive = (channel, message) => { onMessage(channel, message); onTrouble(new Error('cut')) }
      },
      destroy () {}
    }),
    async publish (channel, message) { receive(channel, message) }
  }, { ...on, lost (reason) { on.lost(reason); close() } })
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.same(heard, ['lost: cut'])
  t.equal(opened, 2, 'a first attempt may fail for nothing')
})

t.test('a connection that comes to stand after its end is dropped', async (t) => {
  let stand = (): void => {}
  let destroyed = 0
  const { heard, on } = listener()
  const { close } = keepSubscribed({
    channel: 'revoked',
    echoChannel: 'echo',
    subscriber: () => ({ open: () => new Promise<void>((resolve) => { stand = resolve }), destroy () { destroyed++ } }),
    async publish () { t.fail('nothing is left to prove') }
  }, on)
  await close()
  await close()
  t.equal(destroyed, 1)
  stand()
  await turn()
  t.equal(destroyed, 2)
  t.same(heard, [])
})

t.test('redis: the eviction policy goes to the warnings of the process; a server that does not tell it is left in peace', async (t) => {
  const warned: string[] = []
  const { emitWarning } = process
  process.emitWarning = (warning) => { warned.push(String(warning)) }
  t.teardown(() => { process.emitWarning = emitWarning })
  for (const reply of ['maxmemory_policy:allkeys-lru', new Error('NOPERM')]) {
    const client = { isReady: true, masters: [], async sendCommand (_key: unknown, _isReadonly: unknown, [command]: string[]) { if (command !== 'INFO') return []; if (reply instanceof Error) throw reply; return reply } }
    t.same(await redisStore(client as never).list('alice'), [])
    await turn()
  }
  t.equal(warned.length, 1)
  t.match(warned[0], 'allkeys-lru')
})

t.test('redis: a revocation whose connection was replaced before replicas confirmed it is not confirmed', async (t) => {
  let stream = {}
  const client = {
    status: 'ready',
    get stream () { return stream },
    async call (command: string) {
      stream = {}
      return command === 'WAIT' ? 5 : 1
    },
    duplicate () { throw new Error('not needed') }
  }
  const store = redisStore(client as unknown as RedisClient, { checkServer: false, waitReplicas: { count: 1, timeoutMs: 100 } })
  const record = { id: 'a', subject: 'alice', revision: 2, expiresAt: 1e10, revoked: true } as SessionRecord
  await t.rejects((async () => await store.write(record, 1))(), { isFinal: true, message: /connection was lost/ })
})

t.test('redis: a cluster that is not ready is said to be so', async (t) => {
  const cluster = { isReady: false, masters: [], async sendCommand () { return [] } }
  await t.rejects((async () => await redisStore(cluster as never).list('alice'))(), { message: /not connected \(not ready\)/ })
  cluster.isReady = true
  t.same(await redisStore(cluster as never, { checkServer: false }).list('alice'), [])
})

/** A client of PostgreSQL that does as it is told. */
class FakeClient extends EventEmitter {
  readonly connection = { stream: { destroy () {} } }
  async connect (): Promise<void> {}
  readonly asked: string[] = []
  async query (text: string): Promise<void> { this.asked.push(text) }
  async end (): Promise<void> {}
}

t.test('postgresql: a client that comes after the end is dropped', async (t) => {
  let give = (_client: PostgresClient): void => {}
  const { heard, on } = listener()
  const subscriber = subscriberOf(() => new Promise((resolve) => { give = resolve }))
  const { close } = keepSubscribed({ channel: 'revoked', echoChannel: 'echo', subscriber, publish: async () => {} }, on)
  await turn()
  await close()
  const client = new FakeClient()
  let ends = 0
  client.end = async () => { ends++ }
  give(client as unknown as PostgresClient)
  await turn()
  await turn()
  t.equal(ends, 1)
  t.same(heard, [])
})

t.test('postgresql: one connection listens to announcements and to echoes of its own, and its end is a loss', async (t) => {
  const { heard, links, on } = listener()
  const client = new FakeClient()
  const { close } = keepSubscribed({
    channel: 'revoked',
    echoChannel: 'echo',
    subscriber: subscriberOf(() => client as unknown as PostgresClient),
    async publish (channel, payload) { client.emit('notification', { channel, payload }) }
  }, on)
  await turn()
  t.match(client.asked, [/^listen "revoked"; listen "echo"; /])
  await (links[0] as Link).ping()
  client.emit('notification', { channel: 'revoked' })
  client.emit('notification', { channel: 'revoked', payload: '["b"]' })
  client.emit('end')
  client.emit('notification', { channel: 'revoked', payload: '["c"]' })
  t.same(heard, ['ready', 'changed', 'b', 'lost: The connection that listens has ended'])
  await close()
})
