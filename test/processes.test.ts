import t, { type Test } from 'tap'
import { engineNamed, engines, skipReason } from './support/engines'
import { forkNodes } from './support/fork-nodes'

const NODES = 4
const PARALLEL = 200
const ROUNDS = Number(process.env.PROCESS_ROUNDS ?? 3)
const LOGOUTS = Number(process.env.PROCESS_LOGOUTS ?? 100)

interface Tokens { access_token: string, refresh_token: string }

async function post (url: string, body: object): Promise<Response> {
  return await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

const bearer = ({ access_token: token }: Tokens) => ({ headers: { authorization: `Bearer ${token}` } })

for (const { name } of engines.filter((engine) => engine.name === 'redis (ioredis)' || engine.name === 'postgresql')) {
  t.test(name, async (t) => {
    const skip = await skipReason(engineNamed(name))
    await t.test('four processes', { skip }, async (t) => await fourProcesses(t, name))
  })
}

async function fourProcesses (t: Test, name: string): Promise<void> {
  const { nodes, advance } = await forkNodes(t, name, NODES)
  const node = (count: number) => nodes[count % NODES] as string
  const login = async (rotation: string) => await (await post(`${node(0)}/${rotation}/login`, { username: 'alice', password: 'wonderland' })).json() as Tokens
  const status = async (url: string, tokens: Tokens) => {
    const answer = await fetch(url, bearer(tokens))
    await answer.arrayBuffer()
    return answer.status
  }

  for (const rotation of ['strict', 'tolerant']) {
    await t.test(`${PARALLEL} parallel refreshes with one token leave one live generation (${rotation})`, async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const tokens = await login(rotation)
        await advance(60)
        const answers = await Promise.all(Array.from({ length: PARALLEL }, async (_, count) => {
          const answer = await post(`${node(count)}/${rotation}/refresh`, { refresh_token: tokens.refresh_token })
          return { status: answer.status, ...await answer.json() as Tokens }
        }))
        const statuses = new Set(answers.map(({ status }) => status))
        t.notOk(statuses.has(500) || statuses.has(503), `${[...statuses].join()}`)
        const successors = new Set(answers.filter(({ status }) => status === 200).map((answer) => answer.refresh_token))
        t.equal(successors.size, 1, 'one distinct successor')
        t.notOk(successors.has(tokens.refresh_token), 'and a new one')
        if (rotation === 'tolerant') {
          t.same([...statuses], [200], 'nobody honest is logged out')
          t.equal(await status(`${node(1)}/${rotation}/me`, answers[0] as Tokens), 200)
        } else if (statuses.has(401)) {
          t.equal(await status(`${node(1)}/${rotation}/me`, tokens), 401, 'who came too late was taken for a thief, and the session is over everywhere')
        } else {
          t.equal(await status(`${node(1)}/${rotation}/me`, tokens), 200)
        }
      }
    })
  }

  await t.test('a warm request makes no store call', async (t) => {
    const tokens = await login('strict')
    const reads = async () => Number(await (await fetch(`${node(1)}/reads`)).text())
    // The time that was moved has ended the lease: wait for the next ping.
    for (let last = -1; last !== await reads();) {
      last = await reads()
      await status(`${node(1)}/strict/me`, tokens)
    }
    const before = await reads()
    for (let count = 0; count < 50; count++) t.equal(await status(`${node(1)}/strict/me`, tokens), 200)
    t.equal(await reads(), before)
  })

  await t.test('a logout on one node is obeyed by the others', async (t) => {
    const delays: number[] = []
    for (let count = 0; count < LOGOUTS; count++) {
      const tokens = await login('strict')
      const other = `${node(1 + count % 3)}/strict/me`
      t.equal(await status(other, tokens), 200)
      const answer = await fetch(`${node(0)}/strict/logout`, { method: 'POST', ...bearer(tokens) })
      t.equal(answer.status, 204)
      const acknowledged = performance.now()
      let last = acknowledged
      while (await status(other, tokens) !== 401) last = performance.now()
      delays.push(last - acknowledged)
    }
    delays.sort((one, other) => one - other)
    const at = (share: number) => (delays[Math.min(delays.length - 1, Math.floor(share * delays.length))] as number).toFixed(2)
    t.comment(`${name}: last acceptance after the acknowledgement: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, ${delays.filter((delay) => delay > 0).length} of ${LOGOUTS} accepted at all`)
  })
}
