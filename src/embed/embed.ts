// <script src="https://…/embed.js" data-form="slug" defer></script> draws the organization's form where it stands.
// <form data-inlet-form="slug"> binds a form of the page's own. No style attributes, no inline code, no dependencies: the page
// needs `script-src` and `connect-src` for our origin, and Turnstile's where that is configured. At most 3 KB gzipped.

interface Settings {
  language: string
  render_token: string
  turnstile_site_key: string | null
  honeypot: string
  fields: {
    name: string
    label: string
    type: string
    required: boolean
    autocomplete: string
    max_length: number
  }[]
  texts: Record<string, string>
}

interface Turnstile {
  render(at: HTMLElement, options: Record<string, unknown>): string
  reset(widget: string): void
}
declare const turnstile: Turnstile

const ATTEMPTS = 4
const TURNSTILE = 'https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit'
const TOKEN = 'cf-turnstile-response'

const STYLE = `:host{display:block;max-width:36rem}
form{display:grid;gap:1em}
label{display:block;font-weight:600;margin-bottom:.3em}
small{font-weight:400;opacity:.75}
input,textarea{display:block;box-sizing:border-box;width:100%;font:inherit;color:inherit;background:transparent;border:1px solid color-mix(in srgb,currentColor 45%,transparent);border-radius:.5em;padding:.6em .75em}
textarea{min-height:8em;resize:vertical}
button{font:inherit;font-weight:600;color:var(--inlet-on-accent,#fff);background:var(--inlet-accent,#1f4fd1);border:0;border-radius:.5em;padding:.75em 1.4em;justify-self:start;cursor:pointer}
button:disabled{opacity:.6;cursor:wait}
:focus-visible{outline:3px solid var(--inlet-accent,#1f4fd1);outline-offset:2px}
[aria-invalid]{border-color:#d33}
p{margin:0}
p:focus{outline:0}
.ok,.bad{border-left:4px solid var(--inlet-accent,#1f4fd1);padding:.25em .75em}
.bad{border-color:#d33}`

const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000))

function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: object,
  ...inside: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...inside)
  return made
}

/** Asks again while nobody answers; undefined when nobody does. */
async function ask(url: string, init: RequestInit = {}): Promise<Response | undefined> {
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(url, { ...init, credentials: 'omit' }).catch(() => undefined)
    if ((answer && answer.status < 500) || attempt === ATTEMPTS) return answer
    await wait(Math.min(Number(answer?.headers.get('Retry-After')) || 2 ** attempt / 2, 8))
  }
}

let loading: Promise<Turnstile> | undefined
const loadTurnstile = () =>
  (loading ??= new Promise((done, fail) => {
    document.head.append(
      make('script', {
        src: TURNSTILE,
        // Its script has put it there.
        onload: () => done(turnstile),
        onerror: fail,
      }),
    )
  }))

/** Takes over the sending of a form: by fetch, with its answers in `status`. */
function bind(
  form: HTMLFormElement,
  url: string,
  settings: Settings,
  status: HTMLElement,
  widgetAt: HTMLElement,
) {
  const { texts, honeypot, render_token, turnstile_site_key, language } = settings
  const trap = make('input', {
    name: honeypot,
    tabIndex: -1,
    autocomplete: 'off',
    ariaLabel: texts['leave_empty'],
  })
  const hidden = make('div', { ariaHidden: 'true' }, trap)
  hidden.style.cssText = 'position:absolute;left:-9999px'
  form.append(hidden)

  let token = ''
  let reset = () => {}
  if (turnstile_site_key) {
    void loadTurnstile().then(
      (turnstile) => {
        const widget = turnstile.render(widgetAt, {
          sitekey: turnstile_site_key,
          action: 'lead',
          language,
          'response-field': false,
          callback: (given: string) => (token = given),
        })
        reset = () => {
          token = ''
          turnstile.reset(widget)
        }
      },
      () => {},
    )
  }

  const say = (text = '', look = 'bad') => {
    status.textContent = text
    status.className = look
  }
  let key = ''
  let sent = ''
  let busy = false
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (!busy) void send()
  })

  async function send() {
    const body = new FormData()
    for (const [name, value] of new FormData(form))
      body.append(name, typeof value === 'string' ? value : value.name)
    if (!body.has('page_url')) body.set('page_url', location.href)
    // What is sent once more has its old key, what was changed since then a new one.
    const written = JSON.stringify([...body])
    if (sent !== written) key = crypto.getRandomValues(new Uint32Array(4)).join('-')
    sent = written
    body.set('_t', render_token)
    if (token) body.set(TOKEN, token)
    const button = form.querySelector<HTMLButtonElement>('[type=submit],button:not([type])')
    busy = true
    for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid')
    if (button) button.disabled = true
    say(texts['sending'], '')
    const answer = await ask(url, {
      method: 'POST',
      body,
      // Also when the visitor leaves the page meanwhile.
      keepalive: true,
      headers: { Accept: 'application/json', 'Idempotency-Key': key },
    })
    busy = false
    if (button) button.disabled = false
    const said = await answer?.json().catch(() => undefined)
    if (answer?.ok) {
      say(texts['thanks'], 'ok')
      form.dispatchEvent(new CustomEvent('inlet:sent', { bubbles: true, composed: true, detail: said }))
      form.reset()
      sent = ''
      return
    }
    reset()
    complain(answer, said)
  }

  function complain(answer: Response | undefined, said: { errors?: { path: string }[] } | undefined) {
    const path = said?.errors?.[0]?.path
    const field = path ? form.elements.namedItem(path) : null
    if (answer?.status === 429)
      say(texts['wait']?.replace('{seconds}', answer.headers.get('Retry-After') ?? '60'))
    else if (!answer || answer.status > 499) say(texts['retry'])
    else if (path === TOKEN) say(texts['challenge'])
    else say(path === 'email' ? texts['wrong_email'] : field ? texts['wrong_field'] : texts['failed'])
    if (field instanceof HTMLElement) {
      field.setAttribute('aria-invalid', 'true')
      field.focus()
    } else status.focus()
  }
}

function draw(settings: Settings, host: HTMLElement, url: string) {
  const { fields, texts, language } = settings
  host.lang = language
  const root = host.attachShadow({ mode: 'open' })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(STYLE)
  root.adoptedStyleSheets = [sheet]
  const status = make('p', { role: 'status', tabIndex: -1 })
  const form = make('form', {})
  for (const { name, label, type, required, autocomplete, max_length: maxLength } of fields) {
    const common = { id: name, name, required, autocomplete, maxLength }
    form.append(
      make(
        'div',
        {},
        make('label', { htmlFor: name }, label, required ? '' : make('small', {}, ` (${texts['optional']})`)),
        type === 'textarea' ? make('textarea', { ...common, rows: 5 }) : make('input', { ...common, type }),
      ),
    )
  }
  // Turnstile finds its way only outside a shadow.
  const widget = make('div', { slot: 'check' })
  host.append(widget)
  form.append(
    make('slot', { name: 'check' }),
    make('button', { type: 'submit' }, texts['submit'] ?? ''),
    status,
  )
  root.append(form)
  host.addEventListener('inlet:sent', () => {
    form.replaceChildren(status)
    status.focus()
  })
  bind(form, url, settings, status, widget)
}

async function start(script: HTMLScriptElement) {
  const { origin } = new URL(script.src)
  const { form: slug, lang, target } = script.dataset
  const language = lang ?? (document.documentElement.lang || navigator.language)
  const begin = async (
    named: string,
    then: (settings: Settings, url: string) => void,
    otherwise = () => {},
  ) => {
    const url = `${origin}/lead/${encodeURIComponent(named)}?lang=${encodeURIComponent(language)}`
    const answer = await ask(url, { headers: { Accept: 'application/json' } })
    if (answer?.ok) then((await answer.json()) as Settings, url)
    else otherwise()
  }
  if (slug) {
    const host = make('div', {})
    const place = target ? document.querySelector(target) : null
    if (place) place.append(host)
    else if (document.head.contains(script)) document.body.append(host)
    else script.after(host)
    // Whatever happens, there is a way to write.
    const link = make('a', { href: `${origin}/f/${encodeURIComponent(slug)}` }, '✉')
    void begin(
      slug,
      (settings, url) => draw(settings, host, url),
      () => host.append(link),
    )
  }
  for (const form of document.querySelectorAll<HTMLFormElement>('form[data-inlet-form]')) {
    if (form.dataset['inletBound']) continue
    form.dataset['inletBound'] = '1'
    void begin(form.dataset['inletForm'] ?? '', (settings, url) => {
      const status = form.querySelector<HTMLElement>('[data-inlet-status]') ?? make('p', { tabIndex: -1 })
      const widget = make('div', {})
      status.setAttribute('role', 'status')
      form.append(widget, status)
      // Drawn by the page, and perhaps filled in already: our own time says nothing then.
      bind(form, url, performance.now() > 2000 ? { ...settings, render_token: '' } : settings, status, widget)
    })
  }
}

void start(document.currentScript as HTMLScriptElement)
