// What the server tells without being asked: the events of the plugin, and whether the store of sessions answers.
import { end, session } from './client.js'
import { announce, byId, make, timeOf } from './view.js'

/** What is kept on the page. */
const LENGTH = 60

const SENTENCES = {
  'login.succeeded': ({ user }) => `${user} opened a session`,
  'login.failed': () => 'somebody gave wrong credentials',
  'login.throttled': () => 'somebody has tried too often, and has to wait',
  'refresh.succeeded': ({ user, generation, rotated }) => `${user} got generation ${generation}${rotated ? '' : ' once more'}`,
  'refresh.refused': ({ user = 'somebody', reason }) => `${user} was refused: ${reason.replace('_', ' ')}`,
  'refresh.recovered': ({ user, generation }) => `${user} got generation ${generation} again, whose answer was lost`,
  'session.reused': ({ user, presented, generation }) => `generation ${presented} of ${user} came back while ${generation} was current`,
  'session.revoked': ({ user, reason }) => `a session of ${user} has ended: ${reason.replace('_', ' ')}`,
  'store.regressed': ({ user }) => `the store has lost writes of ${user}`
}

/** @param changed is called when there may be other sessions than before. */
export function listen (store, changed) {
  const source = new EventSource('/demo/events')
  source.addEventListener('open', () => {
    byId('connection').textContent = ''
    changed()
  })
  source.addEventListener('error', () => { byId('connection').textContent = 'not connected; trying again' })

  source.addEventListener('store', ({ data }) => {
    const { up } = JSON.parse(data)
    const wasUp = byId('outage').textContent === ''
    byId('store').className = `store ${up ? 'up' : 'down'}`
    byId('store').textContent = up ? `Sessions live in ${store}` : `${store} does not answer`
    byId('outage').textContent = up ? '' : `${store} does not answer. Until it does, requests with a token get 503: nobody is let in, and nobody is logged out.`
    if (!up || wasUp) return
    announce(`${store} is back.`)
    changed()
  })

  source.addEventListener('session', ({ data }) => {
    const event = JSON.parse(data)
    const isOwn = event.id !== undefined && event.id === session.claims?.sid
    add(event, isOwn)
    if (isOwn && event.name === 'session.revoked' && session.phase === 'in') end(event.reason === 'reused' ? 'reused' : 'elsewhere')
    else if (event.user === session.claims?.username) changed()
  })
}

function add (event, isOwn) {
  const { name } = event
  byId('no-events').hidden = true
  byId('feed').prepend(make('li', { className: name === 'session.reused' ? 'alarm' : '' },
    make('span', { className: 'quiet' }, timeOf(Date.now() / 1000)), ' ', make('code', {}, name), ...(isOwn ? [' ', make('span', { className: 'chip' }, 'yours')] : []),
    make('br'), SENTENCES[name](event)))
  byId('feed').children[LENGTH]?.remove()
}
