// Calls the user's `process` for every record of a batch. One call from outside, one text in, one text out.
//
// Evaluated before the user's script, whose code shares this realm: everything needed from the built-ins is taken
// here, so that a script which replaces them changes its own records only. Nothing in here is reachable from a script
// except what is passed to `process`.
(function () {
  'use strict';
  const { parse, stringify, rawJSON } = JSON;
  const { isArray } = Array;
  const { isSafeInteger } = Number;
  const { setPrototypeOf, keys, create, defineProperty, prototype: objectPrototype } = Object;
  const { get, apply, has } = Reflect;
  const { BigInt, Proxy, String, TypeError, Promise } = globalThis;
  const uncurried = (method) => Function.prototype.call.bind(method);
  const exec = uncurried(RegExp.prototype.exec);
  const join = uncurried(Array.prototype.join);
  const push = uncurried(Array.prototype.push);
  const replace = uncurried(String.prototype.replace);
  const split = uncurried(String.prototype.split);
  const slice = uncurried(String.prototype.slice);
  const includes = uncurried(String.prototype.includes);
  const toWellFormed = uncurried(String.prototype.toWellFormed);
  const hasOwn = uncurried(objectPrototype.hasOwnProperty);
  const sourceOf = uncurried(Function.prototype.toString);
  const instanceOf = uncurried(Function.prototype[Symbol.hasInstance]);

  const MAX_LINES = 1000;
  const MAX_LINE = 4000;
  const MAX_MESSAGE = 500;
  const FRAME = /landbridge-script:(\d+):(\d+)/;
  const WHOLE_NUMBER = /^-?\d+$/;
  const COMMENT = /\/\*[^]*?\*\/|\/\/[^\n]*/g;
  const PARAMETERS = /^[^(=]*\(([^)]*)\)|^\s*(?:async\s+)?([\w$]+)\s*=>/;
  const NAME = /[\w$]+/;
  const ASYNC_OR_GENERATOR = /^(?:async\b|function\s*\*|\*)/;
  const HALF_PAIR = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

  // What a record engine has no use for, and what makes the isolate larger than it need be.
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'setTimeout', 'clearTimeout', '__timer_manager']) {
    if (!Reflect.deleteProperty(globalThis, name)) globalThis[name] = undefined;
  }

  // An integer beyond 2^53 is a BigInt in a script; it is written as the same digits again.
  defineProperty(BigInt.prototype, 'toJSON', { value() { return rawJSON(apply(String, undefined, [this])); } });

  const quietly = (text, limit) => toWellFormed(text.length > limit ? slice(text, 0, limit) + '…' : text);

  // -- the log ----------------------------------------------------------------------------------------------------

  let lines = [];
  let linesDropped = 0;
  const shown = (value) => {
    if (typeof value === 'string') return value;
    try {
      return stringify(value) ?? String(value);
    } catch {
      return typeof value;
    }
  };
  const writer = (level) => (...values) => {
    if (lines.length >= MAX_LINES) {
      linesDropped += 1;
      return;
    }
    const texts = [];
    for (let at = 0; at < values.length; at += 1) push(texts, shown(values[at]));
    push(lines, [level, quietly(join(texts, ' '), MAX_LINE)]);
  };
  const logger = {
    debug: writer('debug'), trace: writer('debug'), log: writer('info'), info: writer('info'),
    warn: writer('warning'), error: writer('error'),
  };
  defineProperty(globalThis, 'console', { value: { ...logger }, writable: true, configurable: true });

  // -- records ----------------------------------------------------------------------------------------------------

  // Sits between a record and Object.prototype where a missing field has to read as null.
  const nulls = new Proxy(create(objectPrototype), {
    get: (_, key, receiver) =>
      has(objectPrototype, key) ? get(objectPrototype, key, receiver) : typeof key === 'string' ? null : undefined,
  });

  class Field {
    #owner;
    #name;
    constructor(owner, name) {
      this.#owner = owner;
      this.#name = name;
    }
    getName() { return this.#name; }
    getValue() { return this.#owner[this.#name]; }
    getValueAsRecord() {
      const value = this.getValue();
      return typeof value === 'object' ? value : null;
    }
    getValueAsString() {
      const value = this.getValue();
      return value === null || value === undefined ? null : shown(value);
    }
    setValue(value) { this.#owner[this.#name] = value; }
    addValue(value) {
      const present = this.getValue();
      if (isArray(present)) push(present, value);
      else this.setValue(present === null || present === undefined ? [value] : [present, value]);
    }
  }
  const javaMethods = setPrototypeOf({
    containsField(name) { return hasOwn(this, name); },
    getField(name) { return hasOwn(this, name) ? new Field(this, name) : null; },
    addField(name, value, multiple) {
      if (multiple) new Field(this, name).addValue(value);
      else this[name] = value;
    },
  }, nulls);
  for (const name of keys(javaMethods)) defineProperty(javaMethods, name, { enumerable: false });
  function Record() { return create(javaMethods); }
  Record.prototype = javaMethods;
  defineProperty(globalThis, 'Record', { value: Record, writable: true, configurable: true });

  const adopt = (value, prototype) => {
    if (isArray(value)) {
      for (let at = 0; at < value.length; at += 1) {
        const element = value[at];
        if (typeof element === 'object' && element !== null) adopt(element, prototype);
      }
      return;
    }
    const names = keys(value);
    for (let at = 0; at < names.length; at += 1) {
      const member = value[names[at]];
      if (typeof member === 'object' && member !== null) adopt(member, prototype);
    }
    setPrototypeOf(value, prototype);
  };

  const exactly = (_, value, context) =>
    typeof value === 'number' && !isSafeInteger(value) && exec(WHOLE_NUMBER, context.source) !== null
      ? BigInt(context.source)
      : value;

  // -- the result of one batch ------------------------------------------------------------------------------------

  class Refusal extends TypeError {}

  let current = -1;
  let accepted = [];
  let origins = [];
  let refused = [];
  let failures = [];
  let acceptedInCall = 0;

  const described = (value) => {
    if (value === null) return 'null';
    if (isArray(value)) return 'an array';
    return typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`;
  };
  const textOf = (value, what) => {
    if (typeof value !== 'object' || value === null || isArray(value)) {
      throw new Refusal(`${what} is ${described(value)} where a record is expected`);
    }
    if (instanceOf(Promise, value)) throw new Refusal(`${what} is a promise; async functions are not supported`);
    const text = stringify(value);
    if (typeof text !== 'string' || text[0] !== '{') throw new Refusal(`${what} does not become a JSON object`);
    if (includes(text, '\\ud') && exec(HALF_PAIR, text) !== null) {
      throw new Refusal(`${what} holds a text with half of a surrogate pair, which is no character`);
    }
    return text;
  };
  const keep = (value, what) => {
    push(accepted, textOf(value, what));
    push(origins, current);
  };
  const next = {
    accept(value) {
      keep(value, 'what next.accept got');
      acceptedInCall += 1;
    },
  };
  const error = {
    accept(value) { push(refused, `[${current},${textOf(value, 'what error.accept got')}]`); },
  };

  const messageOf = (thrown) => {
    try {
      if (typeof thrown !== 'object' || thrown === null || !('message' in thrown)) return `the script threw ${shown(thrown)}`;
      if (instanceOf(Refusal, thrown)) return thrown.message;
      return `${typeof thrown.name === 'string' ? thrown.name : 'Error'}: ${thrown.message}`;
    } catch {
      return 'the script threw something that cannot be read';
    }
  };
  const frameOf = (thrown) => {
    try {
      return exec(FRAME, `${thrown.stack}`);
    } catch {
      return null;
    }
  };
  const failureOf = (thrown) => {
    const frame = frameOf(thrown);
    return {
      record: current,
      kind: instanceOf(Refusal, thrown) ? 'result' : 'exception',
      message: quietly(messageOf(thrown), MAX_MESSAGE),
      line: frame === null ? 0 : +frame[1],
      column: frame === null ? 0 : +frame[2],
    };
  };

  // -- calling the script -----------------------------------------------------------------------------------------

  const namesOf = (source) => {
    const head = replace(slice(source, 0, 2000), COMMENT, ' ');
    const list = exec(PARAMETERS, head);
    if (list === null) return [];
    const names = split(list[1] ?? list[2], ',');
    for (let at = 0; at < names.length; at += 1) names[at] = (exec(NAME, names[at]) ?? [''])[0];
    return names;
  };

  return function prepare(process, configuration) {
    const { context, readsNull } = parse(configuration);
    const source = sourceOf(process);
    const names = namesOf(source);
    const java = names[1] === 'next';
    const byName = { __proto__: null, next, ctx: context, context, logger, log: logger, error, err: error };
    const byPlace = java ? [null, next, context, logger, error] : [null, context, logger, next, error];
    const argument = (at) => byName[names[at]] ?? byPlace[at];
    const [first, second, third, fourth] = [argument(1), argument(2), argument(3), argument(4)];
    const prototype = java ? javaMethods : readsNull ? nulls : null;

    const call = (record) => {
      const acceptedBefore = accepted.length;
      const refusedBefore = refused.length;
      acceptedInCall = 0;
      try {
        if (prototype !== null && record !== null) adopt(record, prototype);
        const result = process(record, first, second, third, fourth);
        if (result === null || result === undefined || (java && acceptedInCall > 0)) return;
        if (!isArray(result)) {
          keep(result, 'what process returned');
          return;
        }
        for (let at = 0; at < result.length; at += 1) {
          const element = result[at];
          if (element !== null && element !== undefined) {
            keep(element, `element ${at} of what process returned`);
          }
        }
      } catch (thrown) {
        // What the call sent before it failed is taken back: a failed record does not go on.
        accepted.length = origins.length = acceptedBefore;
        refused.length = refusedBefore;
        push(failures, failureOf(thrown));
      }
    };

    return function run(kind, text) {
      if (kind === 'describe') {
        return stringify({ names, isPlain: exec(ASYNC_OR_GENERATOR, source) === null });
      }
      if (kind === 'where') return `${current}`;
      accepted = [];
      origins = [];
      refused = [];
      failures = [];
      lines = [];
      linesDropped = 0;
      if (kind === 'last') {
        current = -1;
        call(null);
      } else {
        const records = kind === 'exact' ? parse(text, exactly) : parse(text);
        for (let at = 0; at < records.length; at += 1) {
          current = at;
          const record = records[at];
          records[at] = null;
          call(record);
        }
      }
      const header = `{"origins":[${join(origins, ',')}],"dropped":${linesDropped},"log":${stringify(lines)},` +
        `"failures":${stringify(failures)},"refused":[${join(refused, ',')}]}`;
      const results = join(accepted, ',');
      accepted = [];
      refused = [];
      return `${header}\n[${results}]`;
    };
  };
})()
