// The page: what is pressed becomes a request, and every answer and event is shown.
import { enter, leave, listeners, refresh, refreshAtOnce, restore, send, sendRenewed, session, shortened } from './client.js'
import { listen } from './feed.js'
import { replay, showTheft } from './theft.js'
import { ago, announce, badge, byId, deviceOf, make, onPress, onSubmit, timeOf } from './view.js'

const ENDINGS = {
  logout: 'You have logged out. The access token is kept, so that you can see below that it is refused at once.',
  everywhere: 'You have logged out everywhere: all your sessions have ended.',
  elsewhere: 'This session was ended from elsewhere. Its tokens are refused, though the access token has not expired.',
  reused: 'A refresh token of this session was used twice, so the session has ended.',
  revoked: 'This session has ended. Log in again.',
  refused: 'This session has ended: its refresh token is refused. Log in again.'
}

let hasExpired = false

function show () {
  const { phase, claims } = session
  const isIn = phase === 'in'
  document.body.classList.toggle('over', phase === 'ended')
  byId('account-title').textContent = isIn ? 'Your session' : 'Log in'
  byId('login').hidden = isIn
  byId('account').hidden = !isIn
  for (const id of ['refresh', 'tabs']) byId(id).disabled = !isIn
  if (isIn) {
    byId('ended').textContent = ''
    byId('who').textContent = claims?.username ?? ''
    byId('roles').replaceChildren(...(claims?.roles ?? []).map((role) => make('span', { className: 'chip' }, role)))
    byId('how').textContent = session.transport === 'header' ? 'Tokens in a header, kept by this page until it is reloaded.' : 'Tokens in cookies, kept by the browser: a reload goes on.'
  }
  showClaims()
  showTime()
  showTheft()
}

function showClaims () {
  const { claims, accessToken, transport } = session
  if (claims === undefined) return
  const rows = {
    subject: claims.sub,
    roles: claims.roles?.join(', ') ?? '',
    session: claims.sid.slice(0, 8),
    generation: claims.gen,
    issued: timeOf(claims.iat),
    expires: timeOf(claims.exp),
    'password shown': timeOf(claims.auth_time),
    'made by': claims.fresh ? 'a login' : 'a refresh'
  }
  byId('claims').replaceChildren(...Object.entries(rows).map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, String(value)))))
  byId('whole').hidden = false
  byId('raw').replaceChildren(...(transport === 'header'
    ? accessToken.split('.').map((part, index) => make('span', { className: `part-${index}` }, part + (index < 2 ? '.' : '')))
    : ['In a cookie that no script can read. GET /me told these claims:']))
  byId('decoded').textContent = JSON.stringify(claims, null, 2)
}

function showTime () {
  const { phase, lifetime, expiresAt } = session
  if (phase !== 'in') {
    if (phase === 'ended') byId('left').textContent = 'Refused: the session has ended'
    return
  }
  const left = Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000))
  byId('left').textContent = left > 0 ? `${left} s left` : 'Expired: refresh it'
  Object.assign(byId('life'), { max: lifetime, value: left })
  if (left === 0 && !hasExpired) announce('The access token has expired.')
  hasExpired = left === 0
}

listeners.change = show

listeners.answer = (answer) => {
  const { method, path, carried, headers, body } = answer
  const lines = [carried && `> ${carried}`, ...Object.entries(headers).map(([name, value]) => `< ${name}: ${value}`)].filter(Boolean)
  byId('answer').replaceChildren(
    make('p', {}, make('code', {}, `${method} ${path.replace(/(sessions\/.{8}).*/, '$1…')}`), ' ', badge(answer)),
    make('pre', { tabIndex: 0, ariaLabel: 'Headers and body', role: 'group' },
      [...lines, ...(body === undefined ? [] : [shortened(JSON.stringify(body, null, 2))])].join('\n') || 'no body')
  )
}

listeners.over = (why) => {
  show()
  byId('refreshed').textContent = ''
  byId('ended').textContent = ENDINGS[why] ?? ENDINGS.revoked
  byId('sessions').replaceChildren()
  byId('no-sessions').hidden = false
}

let shown = []
let waiting

/** Soon: events come in crowds. */
function loadSessionsSoon () {
  clearTimeout(waiting)
  waiting = setTimeout(loadSessions, 100)
}

async function loadSessions () {
  if (session.phase !== 'in' || Date.now() >= session.expiresAt) return
  const { ok, body } = await send('GET', '/sessions', undefined, { isQuiet: true })
  if (!ok || session.phase !== 'in') return
  const { id: focused } = document.activeElement.dataset
  shown = body.reverse().sort((one, other) => other.current - one.current).map(sessionItem)
  byId('sessions').replaceChildren(...shown.map(({ item }) => item))
  byId('no-sessions').hidden = true
  shown.find(({ entry }) => entry.id === focused)?.button.focus()
  showAges()
}

function sessionItem (entry) {
  const device = deviceOf(entry.user_agent)
  const times = make('span', { className: 'quiet' })
  const button = make('button', { ariaLabel: `End the session of ${device} opened at ${timeOf(entry.created_at)}` }, 'End')
  button.dataset.id = entry.id
  onPress(button, () => entry.current ? logOut(false) : endOther(entry.id))
  const mark = entry.current ? [make('span', { className: 'chip' }, 'this one')] : []
  return { entry, times, button, item: make('li', {}, make('div', {}, make('strong', {}, device), ' ', ...mark, make('br'), times), button) }
}

function showAges () {
  for (const { entry, times } of shown) times.textContent = `${entry.ip} · opened ${ago(entry.created_at)} · seen ${ago(entry.last_seen_at)}`
}

async function endOther (id) {
  const { ok } = await sendRenewed('DELETE', `/sessions/${id}`)
  if (!ok) return
  announce('The session has ended.')
  byId('account-title').focus()
  await loadSessions()
}

async function logOut (everywhere) {
  if (await leave(everywhere)) byId('username').focus()
}

onSubmit(byId('login'), async ({ target, submitter }) => {
  const { username, password, transport } = Object.fromEntries(new FormData(target))
  session.transport = transport
  const { ok, code, body } = await enter(submitter.value, username, password)
  byId('login-error').textContent = ok ? '' : `${body.message}. ${code === 'REQUEST_INVALID' ? 'A password has at most 72 bytes.' : ''}`
  if (!ok) return
  byId('password').value = ''
  byId('account-title').focus()
  await loadSessions()
})

onPress(byId('logout'), () => logOut(false))
onPress(byId('everywhere'), () => logOut(true))
onPress(byId('replay'), replay)

onPress(byId('refresh'), async () => {
  const before = session.claims?.gen
  const { ok, code } = await refresh()
  const after = session.claims?.gen
  byId('refreshed').textContent = !ok ? `Refused: ${code ?? 'no answer'}` : after === before ? `Generation ${after} once more: it is less than ten seconds old.` : `Generation ${before} is used up; this is generation ${after}.`
})

onPress(byId('tabs'), async () => {
  const before = session.claims?.gen
  const answers = await refreshAtOnce(4)
  const tokens = new Set(answers.map(({ body }) => body?.refresh_token))
  const after = session.claims?.gen
  const passed = answers.filter(({ ok }) => ok).length
  const found = tokens.size === 1 && session.transport === 'header' ? ', all with the same refresh token' : ''
  const became = after === before ? `generation ${after} once more, as it is less than ten seconds old` : `generation ${before} became ${after}`
  byId('refreshed').textContent = passed < 4 ? `Only ${passed} of 4 were answered.` : `Four answers${found}: ${became}. Nobody was logged out.`
})

for (const row of byId('routes').children) {
  const { method, path } = row.dataset
  const result = make('output')
  const button = make('button', { ariaLabel: `Call ${method} ${path}` }, 'Call')
  row.append(result, button)
  const call = async () => {
    const answer = await send(method, path)
    result.replaceChildren(badge(answer))
    return answer
  }
  onPress(button, async () => {
    if ((await call()).code === 'REAUTHENTICATION_REQUIRED' && session.phase === 'in' && await confirm()) await call()
  })
}

/** Asks for the password once more. A login is what shows it, so there is a new session, and the old one is ended. */
async function confirm () {
  byId('again').value = byId('confirm-error').textContent = byId('confirm').returnValue = ''
  byId('again-username').value = session.claims.username
  byId('confirm').showModal()
  await new Promise((resolve) => byId('confirm').addEventListener('close', resolve, { once: true }))
  return byId('confirm').returnValue === 'confirmed'
}

byId('confirm-cancel').addEventListener('click', () => byId('confirm').close())
onSubmit(byId('confirm-form'), async () => {
  const { username, sid } = session.claims
  const { ok, body } = await enter('/login', username, byId('again').value)
  byId('confirm-error').textContent = ok ? '' : `${body.message}.`
  if (!ok) return
  byId('confirm').close('confirmed')
  await send('DELETE', `/sessions/${sid}`, undefined, { isQuiet: true })
})

async function start () {
  byId('visible').textContent = JSON.stringify(document.cookie)
  const { body: { store, users } } = await send('GET', '/demo/about', undefined, { isQuiet: true })
  listen(store, loadSessionsSoon)
  byId('seeds').replaceChildren(...users.map(({ username, password, roles }) => {
    const button = make('button', { type: 'button' }, make('strong', {}, username), ` / ${password} `, make('span', { className: 'quiet' }, roles.join(', ')))
    onPress(button, () => {
      byId('username').value = username
      byId('password').value = password
    })
    return make('li', {}, button)
  }))
  await restore()
  byId('login').elements.transport.value = session.transport
  show()
  await loadSessions()
  setInterval(() => { showTime(); showAges() }, 500)
}

start()
