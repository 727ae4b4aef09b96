// The story of a refresh token that two parties hold.
import { refresh, send, sendRefresh, session } from './client.js'
import { announce, badge, byId } from './view.js'

/** How long the server takes a used refresh token for another tab, in milliseconds, and some. */
const REPETITION = 10_500

let isRunning = false

export function showTheft () {
  const usesCookies = session.phase === 'in' && session.transport === 'cookie'
  byId('theft-header').hidden = usesCookies
  byId('theft-cookie').hidden = !usesCookies
  byId('visible').textContent = JSON.stringify(document.cookie)
  byId('replay').disabled = !isRunning && session.phase !== 'in'
  if (isRunning || session.phase !== 'in') return
  byId('verdict').hidden = true
  for (const step of byId('steps').children) mark(step, '')
  mark(byId('steps').children[0], 'done', 'since your login')
}

/** Plays it to the end. Waits as long as the server would be lenient; that is not more than twice ten seconds. */
export async function replay () {
  const { stolen, claims } = session
  const [, used, waited, caught, own] = byId('steps').children
  const isLive = () => session.phase === 'in' && session.claims?.sid === claims?.sid
  isRunning = true
  try {
    // With an expired access token nobody would see that it is revoked as well.
    if (session.claims?.gen === stolen.generation || Date.now() >= session.expiresAt) {
      await wait(used, isLive, 'You refresh in')
      if (!isLive() || !(await refresh()).ok) return
    }
    mark(used, 'done', `the copy is of generation ${stolen.generation}, yours of generation ${session.claims.gen}`)
    // The first request with the new token tells the server that it has arrived.
    await send('GET', '/me', undefined, { isQuiet: true })
    await wait(waited, isLive, 'The thief waits for')
    if (!isLive()) return
    mark(waited, 'done')

    const { accessToken } = session
    session.ending = 'reused'
    const thief = await sendRefresh(stolen.token)
    mark(caught, thief.ok ? 'failed' : 'done', badge(thief))
    mark(own, 'done', badge(await send('GET', '/me', undefined, { token: accessToken })))
    if (thief.code !== 'REFRESH_TOKEN_INVALID') return
    byId('verdict').hidden = false
    byId('verdict').focus()
  } finally {
    isRunning = false
    session.ending = undefined
    byId('replay').disabled = session.phase !== 'in'
  }
}

/** Counts down until the refresh token is old enough. */
async function wait (step, isLive, words) {
  for (;;) {
    const left = session.rotatedAt + REPETITION - Date.now()
    if (left <= 0 || !isLive()) return
    const text = `${words} ${Math.ceil(left / 1000)} s`
    if (!step.textContent.includes(words)) announce(text)
    mark(step, 'current', text)
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 250)))
  }
}

/** @param note what became of a step: a text or an element. */
function mark (step, state, note = '') {
  step.dataset.state = state
  step.querySelector('.note')?.remove()
  if (note === '') return
  const element = document.createElement('span')
  element.className = 'note'
  element.append(note)
  step.append(element)
}
