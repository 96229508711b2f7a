#!/usr/bin/env node
// Signs one person in through Relais, as the software of a practice does. Node.js 20.3 or later, no package.
//
//     RELAIS_URL=http://127.0.0.1:8080 RELAIS_APPLICATION=demo RELAIS_SECRET=demo node sign_in.mjs 899700000001
//
// The class Relais is what you would copy: start, wait, pickUp, readSession, endSession, cancel. The rest is a
// console program around it. The steps, the settings and the exit codes are in ../README.md.

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as tls from 'node:tls';

const WAIT = 25; // Seconds that one call waits at the server: some proxies cut after 30.
const ANSWER_TIMEOUT = 20; // Seconds for an answer, beyond that: a start alone may take 10.
const PATIENCE = 30; // Seconds during which a call without an answer is repeated.
const MARGIN = 10; // Seconds that a silent server is still asked after the login's own end.

const [SESSION, FAILED, USAGE, CANCELLED, ALREADY_PENDING] = [0, 1, 2, 13, 15];

// Exit codes by the words of Relais: a login's status or reason, a problem's code. A word added later is a failure.
const EXIT_CODES = new Map([
  ['login_hint_malformed', USAGE],
  ['denied', 10],
  ['expired', 11],
  ['user_unknown', 12],
  ['cancelled', CANCELLED],
  ['identity_mismatch', 14],
  ['already_pending', ALREADY_PENDING],
  ['rate_limited', ALREADY_PENDING],
  ['provider_unavailable', 16],
  ['outcome_unknown', 16],
  ['provider_rejected_client', 17],
  ['application_unauthenticated', 17],
  ['application_disabled', 17],
]);

// What your software does next. What the person reads is the user_message of Relais.
const ENDINGS = new Map([
  [FAILED, 'Failed: let the person try again, and have the support code ready for your help desk.'],
  [USAGE, 'Refused: let the person correct the identifier. No phone has rung.'],
  [10, 'Denied: never start again by yourself; whoever says no has a reason.'],
  [11, 'Expired: offer to start again.'],
  [12, 'Unknown person: let the identifier be corrected.'],
  [CANCELLED, 'Cancelled: the phone is free for another login.'],
  [14, 'Somebody else has confirmed: nobody is signed in.'],
  [ALREADY_PENDING, 'Too early: another login is under way for this person, or there were too many.'],
  [16, 'The provider is unavailable: nothing is wrong here, try again in a few minutes.'],
  [17, 'The application is refused: check its name and secret, then ask whoever operates Relais.'],
]);

/** A call without a result: no answer came (status 0), or a refusal with its problem (RFC 9457). */
class CallError extends Error {
  constructor(why, { status = 0, problem = {}, retryAfter = 0, cause } = {}) {
    super(why, { cause });
    Object.assign(this, { status, problem, retryAfter, code: problem.code });
  }
}

/** The calls. Each may be repeated without harm, so each is, where an answer is lost. */
class Relais {
  /** `interruption` is an AbortSignal: when it fires, whatever is under way rejects with its reason. */
  constructor({ url, application, secret, language, interruption }) {
    // Name and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
    const pair = [application, secret].map(encodeURIComponent).join(':');
    this.basic = { Authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
    Object.assign(this, { url: url.replace(/\/+$/, ''), language, interruption });
  }

  /** Rings the person's phone. With the same key, it is the same login however often it is asked for. */
  async start(loginHint, key) {
    const headers = { ...this.basic, 'Idempotency-Key': key };
    const call = { method: 'POST', path: '/v1/logins', headers, body: { login_hint: loginHint } };
    const { login_token: loginToken, ...login } = await this.#repeated(PATIENCE, call);
    return { login, loginToken };
  }

  /** Follows a login until somebody has decided. */
  async wait(login, loginToken, onChange) {
    while (['starting', 'pending'].includes(login.status)) {
      // Answered at once if the version is no longer this one: no change falls between two calls.
      const headers = { ...bearer(loginToken), Prefer: `wait=${WAIT}`, 'If-None-Match': `"${login.version}"` };
      const askedAt = performance.now();
      const call = { method: 'GET', path: loginPath(login), headers, wait: WAIT };
      const read = await this.#repeated(login.expires_in + MARGIN, call);
      if (read.version !== login.version) onChange(read);
      // A server that shuts down answers early: ask the next one, but not in a tight loop.
      else if (performance.now() - askedAt < 1000) await this.#pause(1);
      login = read;
    }
    return login;
  }

  /** Turns an approved login into a session. A repetition brings another handle, of the same session. */
  async pickUp(login, loginToken) {
    const call = { method: 'POST', path: `${loginPath(login)}/session`, headers: bearer(loginToken) };
    const { session_handle: handle, ...session } = await this.#repeated(PATIENCE, call);
    return { session, handle };
  }

  /** Who it is and until when, or null once it has ended. Reading it is a use, which postpones the idle end. */
  async readSession(handle) {
    try {
      return await this.#repeated(PATIENCE, { method: 'GET', path: '/v1/session', headers: bearer(handle) });
    } catch (error) {
      // Every call with a handle may be told this, and it always means: sign in again.
      if (!hasEnded(error)) throw error;
      say(`${error.problem.user_message} [${error.message}]`);
      return null;
    }
  }

  /** Ends a session. One that has ended already is as good. */
  async endSession(handle) {
    try {
      await this.#repeated(PATIENCE, { method: 'DELETE', path: '/v1/session', headers: bearer(handle) });
    } catch (error) {
      if (!hasEnded(error)) throw error;
    }
  }

  /** Gives a login up, or the session that it has led to meanwhile. */
  async cancel(login, loginToken) {
    try {
      await this.#repeated(PATIENCE, { method: 'DELETE', path: loginPath(login), headers: bearer(loginToken) });
    } catch (error) {
      if (error.code !== 'already_picked_up') throw error;
      const { handle } = await this.pickUp(login, loginToken);
      await this.endSession(handle);
    }
  }

  /** Makes a call, and the very same call again while no answer comes. */
  async #repeated(patience, call) {
    const giveUpAt = performance.now() + patience * 1000;
    for (let pause = 0.25; ; pause = Math.min(2 * pause, 2)) {
      try {
        return await this.#call(call);
      } catch (error) {
        pause = Math.max(pause, error.retryAfter ?? 0);
        // Any other refusal would be the same the next time.
        const mayBeRepeated = error instanceof CallError && [0, 502, 503, 504].includes(error.status);
        if (!mayBeRepeated || performance.now() + pause * 1000 > giveUpAt) throw error;
        say(`No answer yet, trying again [${error.message}]`);
      }
      await this.#pause(pause);
    }
  }

  /** Makes a call once. No redirect is followed: a secret has one addressee. */
  async #call({ method, path, headers, body, wait = 0 }) {
    const content = body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
    const timeout = AbortSignal.timeout((ANSWER_TIMEOUT + wait) * 1000);
    let answer;
    let text;
    try {
      answer = await fetch(this.url + path, {
        method,
        body: content?.body,
        headers: { 'Accept-Language': this.language, ...content?.headers, ...headers },
        redirect: 'manual',
        signal: AbortSignal.any([timeout, this.interruption]),
      });
      text = await answer.text();
    } catch (error) {
      this.interruption.throwIfAborted();
      throw new CallError(`${error.message}: ${error.cause?.code ?? error.name}`, { cause: error });
    }
    if (answer.status === 204) return null;
    const members = objectIn(text);
    // Members that you do not know may be added: leave them alone.
    if (answer.ok && members) return members;
    const problem = members ?? {};
    const supportCode = problem.support_code ? `, support code ${problem.support_code}` : '';
    throw new CallError(`${answer.status} ${problem.code ?? 'without a problem of Relais'}${supportCode}`, {
      status: answer.status,
      problem,
      retryAfter: Number.parseInt(answer.headers.get('Retry-After') ?? '0', 10) || 0,
    });
  }

  async #pause(seconds) {
    await sleep(seconds * 1000, undefined, { signal: this.interruption }).catch(() => this.interruption.throwIfAborted());
  }
}

const bearer = (secret) => ({ Authorization: `Bearer ${secret}` });
const loginPath = (login) => `/v1/logins/${login.login_id}`;
const hasEnded = (error) => ['session_ended', 'handle_invalid'].includes(error.code);
const say = (text) => process.stderr.write(`${text}\n`);

/** The object that a text is in JSON, or null. */
function objectIn(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** What Ctrl-C and SIGTERM throw into whatever is under way. */
class Interrupted extends Error {}
const NEVER = new AbortController().signal;

/** From the start to the session's end. Gives the exit code. */
async function signIn(settings, loginHint, endAtOnce) {
  const interruption = new AbortController();
  // `once`: the next Ctrl-C is obeyed without more ado.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => interruption.abort(new Interrupted()));
  const relais = new Relais({ ...settings, interruption: interruption.signal });
  const key = randomUUID(); // One key for one attempt to sign in: one login, one ring.
  let started;
  let handle;
  let session;
  try {
    started = await relais.start(loginHint, key);
    show(started.login);
    const login = await relais.wait(started.login, started.loginToken, show);
    if (login.status !== 'approved') return ended(exitCode(login.reason, login.status), login.support_code);
    ({ handle } = await relais.pickUp(login, started.loginToken));
    session = await relais.readSession(handle);
    if (!session) return ended(FAILED);
    showPerson(session);
    process.stdout.write(`${JSON.stringify(session)}\n`);
    await workday(endAtOnce, interruption.signal);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    relais.interruption = NEVER;
    if (!handle) {
      // The start may have arrived even if its answer has not: the same key brings the same login.
      started ??= await relais.start(loginHint, key);
      await relais.cancel(started.login, started.loginToken);
      return ended(CANCELLED);
    }
  }
  relais.interruption = NEVER;
  await relais.endSession(handle);
  if (endAtOnce && (await relais.readSession(handle)) === null) {
    say('The handle is worth nothing any more: for another session, sign in again.');
  }
  return session ? SESSION : ended(CANCELLED);
}

/** Shows the two digits, large, while there is something to compare, and the sentence of Relais. */
function show(login) {
  if (['starting', 'pending'].includes(login.status)) {
    const digits = [...login.binding_message].join('   ');
    const rule = `+${'-'.repeat(digits.length + 6)}+`;
    say(`\n    ${rule}\n    |   ${digits}   |\n    ${rule}\n`);
  }
  say(login.user_message);
}

/** Shows who has signed in and where they practise. The key of a person in your database is (iss, sub). */
function showPerson({ subject, expires_at: expiresAt }) {
  say(`Signed in: ${subject.name ?? subject.sub}, until ${expiresAt} at the latest`);
  for (const { profession, site } of subject.exercices ?? []) {
    say(`  ${profession.label ?? profession.code}, ${site?.name ?? 'no place named'}`);
  }
}

/** Here your software works, until somebody closes it. */
async function workday(endAtOnce, interruption) {
  if (endAtOnce) return;
  say('Press Enter to end the session.');
  try {
    await Promise.race(['data', 'end'].map((event) => once(process.stdin, event, { signal: interruption })));
  } catch {
    interruption.throwIfAborted();
  } finally {
    process.stdin.destroy();
  }
}

/** The exit code of the first word that has one. */
const exitCode = (...words) => EXIT_CODES.get(words.find((word) => EXIT_CODES.has(word))) ?? FAILED;

function ended(code, supportCode) {
  say(ENDINGS.get(code) + (supportCode ? ` [support code ${supportCode}]` : ''));
  return code;
}

/** Tells why a call brought nothing. Gives the exit code. */
function refused({ message, problem, code: word, retryAfter }) {
  say(`${problem.user_message ?? 'Relais cannot be reached.'} [${message}]`);
  const code = exitCode(problem.reason, problem.login_status, word);
  if (code === ALREADY_PENDING) say(`Try again in ${problem.expires_in ?? retryAfter} s.`);
  return ended(code);
}

async function main() {
  const { RELAIS_URL: url, RELAIS_APPLICATION: application, RELAIS_SECRET: secret, RELAIS_CA: ca, LANG } = process.env;
  const hints = process.argv.slice(2).filter((argument) => argument !== '--end');
  if (hints.length !== 1 || hints[0].startsWith('-') || !(url && application && secret)) {
    say('usage: RELAIS_URL=… RELAIS_APPLICATION=… RELAIS_SECRET=… [RELAIS_CA=…] sign_in.mjs [--end] LOGIN_HINT');
    return USAGE;
  }
  if (!/^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost)([:/]|$))/.test(url)) {
    say('RELAIS_URL: https://…, or http://… on this machine: it carries a secret');
    return USAGE;
  }
  if (ca && process.env.NODE_EXTRA_CA_CERTS !== ca) {
    try {
      if (!tls.setDefaultCACertificates) throw new Error('Node.js before 22.19 wants it in NODE_EXTRA_CA_CERTS as well');
      tls.setDefaultCACertificates([readFileSync(ca, 'utf8')]);
    } catch (error) {
      say(`RELAIS_CA: ${error.message}`);
      return USAGE;
    }
  }
  const language = (LANG ?? '').split('.')[0].replace('_', '-');
  const settings = { url, application, secret, language: ['', 'C', 'POSIX'].includes(language) ? 'fr' : language };
  try {
    return await signIn(settings, hints[0], process.argv.includes('--end'));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    return refused(error);
  }
}

process.exitCode = await main();
